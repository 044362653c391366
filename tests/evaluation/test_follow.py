from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.boxes import centres
from drivereplay.evaluation.follow import tracks
from drivereplay.evaluation.footage import Footage


@pytest.mark.parametrize("velocity", [(1.5, 0.5), (3.0, 1.0), (0.0, 0.0)])
def test_an_object_is_followed_through_its_own_video(velocity: tuple[float, float]) -> None:
    real = Footage.of(make_clip(3, velocity=velocity))
    assert real.annotations is not None
    error = np.linalg.norm(centres(tracks(real)[2:]) - centres(real.annotations.boxes_px[2:]), axis=-1)
    assert np.median(error) < 0.006 * real.diagonal_px + 0.3


def test_it_is_followed_in_the_video_it_is_in_and_not_in_the_real_one() -> None:
    real, other = make_clip(4, velocity=(0.0, 0.0)), make_clip(4, velocity=(3.0, 0.0))
    video = other.frames.copy()
    start = Footage.of(make_clip(4, velocity=(3.0, 0.0)))
    found = tracks(start.with_frames(video))[-1, 0]
    assert centres(found)[0] > centres(real.annotations.boxes_px[-1, 0])[0] + 10  # type: ignore[union-attr]


def test_an_object_that_leaves_is_lost_and_following_is_repeatable() -> None:
    clip = make_clip(5, velocity=(0.0, 0.0))
    shifted = np.stack([np.roll(f, -4 * t, axis=1) for t, f in enumerate(clip.frames)])
    real = Footage.of(clip)
    first, again = tracks(real.with_frames(shifted)), tracks(real.with_frames(shifted.copy()))
    np.testing.assert_array_equal(first, again)
    assert np.isnan(first[-1]).all() or first[-1, 0, 0] <= 1
