from __future__ import annotations

from dataclasses import replace

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.footage import Footage, judged_annotations


def test_an_estimate_is_made_once() -> None:
    footage, made = Footage.of(make_clip()), []
    for _ in range(3):
        footage.estimate("thing", lambda: made.append(1) or len(made))
    assert made == [1]


def test_another_video_of_a_clip_shares_its_facts_but_no_estimates() -> None:
    real = Footage.of(make_clip())
    real.estimate("thing", lambda: 1)
    other = real.with_frames(np.zeros_like(real.frames))
    assert other.context == real.context and other.annotations is real.annotations and not other.estimates
    assert real.grey.shape == real.frames.shape[:3] and len(real.future) == 6
    assert real.diagonal_px == np.hypot(48, 64)


def test_a_box_of_unknown_visibility_counts_as_seen() -> None:
    clip = make_clip()
    assert clip.annotations is not None
    boxes, visible = clip.annotations.boxes_px.copy(), np.full((8, 1), np.nan, np.float32)
    boxes[6], visible[5] = np.nan, 0.25
    unknown = replace(clip, annotations=replace(clip.annotations, boxes_px=boxes, visible=visible))
    known = Footage.of(unknown).annotations
    assert known is not None and known.visible.dtype == np.float32
    np.testing.assert_array_equal(known.visible[:, 0], [1, 1, 1, 1, 1, 0.25, np.nan, 1])
    assert judged_annotations(clip) is clip.annotations and judged_annotations(replace(clip, annotations=None)) is None


def test_a_clip_has_own_boxes_or_none() -> None:
    real = Footage.of(make_clip())
    assert real.has_own_boxes and not Footage.of(make_clip(annotated=False)).has_own_boxes
    real.pseudo = True
    assert not real.has_own_boxes
