from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.draw import FOLLOWED, REAL, side_by_side
from drivereplay.evaluation.footage import Footage


def _has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == colour).all(-1).any())


def test_boxes_are_on_both_sides_and_tracks_on_the_right() -> None:
    real = Footage.of(make_clip(0))
    frames = side_by_side(real, real.with_frames(real.frames))
    assert frames.dtype == np.uint8 and frames.shape == (8, 240, 2 * 320 + 6, 3)
    left, right = frames[5][:, :320], frames[5][:, 326:]
    assert _has(left, REAL) and not _has(left, FOLLOWED) and _has(right, FOLLOWED)
    assert not _has(frames[0], REAL) and (frames[0][:4, :320] == 128).all()


def test_clips_without_annotations_show_their_flow() -> None:
    real = Footage.of(make_clip(0, annotated=False, velocity=(3.0, 0.0), pan=2))
    plain = np.repeat(np.repeat(real.frames[5], 5, 0), 5, 1)
    assert (side_by_side(real, real)[5][:, :320] != plain).any()
