from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.domains.recording import Clip
from drivereplay.evaluation import pseudo, references
from drivereplay.evaluation.agents.flow_epe import FlowEpe, object_regions
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.judge import evaluate_pairs


def test_regions_are_the_boxes_or_what_moves_most() -> None:
    annotated = Footage.of(make_clip(0, velocity=(3.0, 0.0), pan=2))
    regions = object_regions(annotated)
    assert regions.shape == (6, 48, 64) and regions[0].sum() == 14 * 14
    free = object_regions(Footage.of(make_clip(0, velocity=(3.0, 0.0), pan=2, annotated=False)))
    assert 0.09 < free.mean() < 0.12 and (free & regions).sum() > 0.4 * free.sum()


def test_the_right_camera_with_the_wrong_object_is_seen() -> None:
    """A video that gets the dominant motion right and leaves the object behind is far off; the same clip is not."""
    real = Footage.of(make_clip(1, velocity=(0.0, 0.5), pan=2))
    same_camera = real.with_frames(make_clip(1, velocity=(4.0, 0.5), pan=2).frames)
    judge = FlowEpe()
    assert judge.score(judge.curve(real, real)) == 0
    assert judge.score(judge.curve(real, same_camera)) > 1.0
    assert judge.score(judge.curve(real, references.rows(real)["frozen"])) > 0.5


def _with_boxes(clip: Clip, boxes: np.ndarray, visible: float = 1.0) -> Clip:
    assert clip.annotations is not None
    known = replace(clip.annotations, boxes_px=boxes, visible=np.full((8, 1), visible, np.float32))
    return replace(clip, annotations=known)


def test_a_step_without_an_object_in_an_annotated_clip_has_no_figure() -> None:
    clip = make_clip(0)
    assert clip.annotations is not None
    boxes = clip.annotations.boxes_px.copy()
    boxes[4:] = np.nan
    real = Footage.of(_with_boxes(clip, boxes))
    assert np.isfinite(FlowEpe().curve(real, real)).tolist() == [True] * 3 + [False] * 3


def test_without_a_box_of_its_own_a_clip_is_judged_alike_whatever_else_is_asked_for() -> None:
    clip = make_clip(0, velocity=(3.0, 0.0), pan=2)
    empty = _with_boxes(clip, np.full((8, 1, 4), np.nan, np.float32))
    free = object_regions(Footage.of(make_clip(0, velocity=(3.0, 0.0), pan=2, annotated=False)))
    for way in ("none", "motion"):
        np.testing.assert_array_equal(object_regions(pseudo.footage(empty, way)), free)
    made = [(c, np.concatenate([c.frames[:2], c.frames[:6]])) for c in (empty, clip)]
    alone, beside = (
        evaluate_pairs(made, {}, metrics=names, resamples=100).per_clip["agents.flow_epe"].tolist()
        for names in (("agents.flow_epe",), ("agents.flow_epe", "agents.ade"))
    )
    assert alone == beside and alone[0] > 0


def test_boxes_of_unknown_visibility_are_regions() -> None:
    clip = make_clip(0)
    assert clip.annotations is not None
    unknown = Footage.of(_with_boxes(clip, clip.annotations.boxes_px, np.nan))
    np.testing.assert_array_equal(object_regions(unknown), object_regions(Footage.of(clip)))
