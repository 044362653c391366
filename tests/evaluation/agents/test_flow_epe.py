from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation import references
from drivereplay.evaluation.agents.flow_epe import FlowEpe, object_regions
from drivereplay.evaluation.footage import Footage


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


def test_an_annotated_clip_without_objects_has_no_figure() -> None:
    from dataclasses import replace

    clip = make_clip(0)
    assert clip.annotations is not None
    empty = replace(clip, annotations=replace(clip.annotations, boxes_px=np.full((8, 1, 4), np.nan, np.float32)))
    real = Footage.of(empty)
    assert np.isnan(FlowEpe().curve(real, real)).all()
