from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.boxes import centres
from drivereplay.evaluation.follow import _Object, _seen_grid, fitted, tracks
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


def test_an_object_that_dissolves_is_expected_for_a_while_and_then_lost() -> None:
    clip = make_clip(6, frames=14, velocity=(2.0, 0.0))
    video = clip.frames.copy()
    # from the third future frame on there is other paint where the object was
    video[4:] = np.random.default_rng(0).integers(0, 255, video[4:].shape, np.uint8)
    found = tracks(Footage.of(clip).with_frames(video))[:, 0]
    assert np.isfinite(found[4]).all() and np.isnan(found[-1]).all()


@pytest.mark.parametrize("change", ["flicker", "fade", "noise"])
def test_light_and_noise_do_not_lead_it_astray(change: str) -> None:
    clip = make_clip(3, velocity=(2.0, 0.5))
    gain = {"flicker": 1 + 0.15 * (-1.0) ** np.arange(8), "fade": np.linspace(1, 0.5, 8), "noise": np.ones(8)}[change]
    noise = np.random.default_rng(0).normal(0, 8 if change == "noise" else 0, clip.frames.shape)
    video = np.clip(clip.frames * gain[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    real = Footage.of(clip)
    assert real.annotations is not None
    error = np.linalg.norm(
        centres(tracks(real.with_frames(video))[2:]) - centres(real.annotations.boxes_px[2:]), axis=-1
    )
    assert np.median(error) < 1.0


def test_points_under_a_nearer_object_do_not_count() -> None:
    near, far = np.array([10.0, 10, 30, 40]), np.array([20.0, 5, 50, 30])
    objects = [_Object([near]), _Object([far])]
    grid = _seen_grid(objects[1], objects, (48, 64))
    assert len(_seen_grid(objects[0], objects, (48, 64))) == 64
    assert 0 < len(grid) < 64 and not ((grid <= near[2:]) & (grid >= near[:2])).all(1).any()


def test_a_move_is_fitted_with_a_scale_for_each_axis_and_strays_do_not_count() -> None:
    box = np.array([10.0, 20, 50, 40])
    points = np.random.default_rng(0).uniform(box[:2], box[2:], (40, 2))
    after = points * [1.3, 1.1] + [2, -1]
    after[:8] += 15
    np.testing.assert_allclose(fitted(box, points, after), [15, 21, 67, 43], atol=1.5)


def test_an_object_that_comes_near_is_expected_to_grow_faster() -> None:
    one = _Object([np.array([10.0, 10, 20, 20]), np.array([10.0, 10, 21, 21])])
    sides = one.expected[2:] - one.expected[:2]
    assert (sides > 12.1).all() and _Object([one.box]).expected is not None
