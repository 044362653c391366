from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import make_clip, texture

from drivereplay.evaluation.flow import dense_flow, dominant_motion, residual_flow, warp
from drivereplay.evaluation.footage import Footage


@pytest.mark.parametrize(("height", "width"), [(32, 48), (64, 96)])
def test_a_shift_is_found(height: int, width: int) -> None:
    wide = cv2.cvtColor(texture(np.random.default_rng(0), height, width + 4, 2.0), cv2.COLOR_RGB2GRAY)
    flow = dense_flow(wide[:, :width], np.ascontiguousarray(wide[:, 2 : width + 2]))
    inner = flow[6:-6, 6:-6]
    assert np.abs(inner - (-2.0, 0.0)).mean() < 0.2


def test_a_frozen_pair_does_not_move() -> None:
    grey = np.full((40, 40), 7, np.uint8)
    assert not dense_flow(grey, grey.copy()).any()
    assert not dominant_motion(np.zeros((40, 40, 2), np.float32)).any()


def test_the_dominant_motion_is_the_majority_s() -> None:
    flow = np.tile(np.array([3.0, -1.0], np.float32), (60, 80, 1))
    flow[20:35, 20:35] = (-2.0, 4.0)
    motion = dominant_motion(flow)
    np.testing.assert_allclose(motion, np.broadcast_to((3.0, -1.0), motion.shape), atol=0.05)


def test_what_moves_against_the_camera_remains() -> None:
    residual = residual_flow(Footage.of(make_clip(velocity=(3.0, 0.0), pan=2)))
    magnitude = np.linalg.norm(residual, axis=-1)
    inside = magnitude[0, 12:22, 17:26].mean()
    assert inside > 3 and inside > 5 * np.median(magnitude[0])


def test_warping_samples_where_the_offset_points() -> None:
    picture = texture(np.random.default_rng(1), 30, 40)
    offset = np.zeros((30, 40, 2), np.float32)
    offset[..., 0] = 2
    np.testing.assert_array_equal(warp(picture, offset)[:, :-2], picture[:, 2:])


def test_driving_ahead_over_a_plane_is_not_affine() -> None:
    """A metre ahead, 1.5 m above the ground, at 96 × 160: the dominant motion takes next to nothing of it away."""
    height, width, focal = 96, 160, 120.0
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    below = np.maximum(ys - 47.5, 1e-3)
    depth = 1.5 * focal / below
    # nothing is followed further than a quarter of the picture
    ahead = np.where((ys > 47.5) & (depth > 2.5), 1.0 / (np.maximum(depth, 2.5) - 1.0), 0.0)
    flow = (np.stack([xs - 79.5, ys - 47.5], -1) * ahead[..., None]).astype(np.float32)
    road = ys > 47.5
    moved = np.linalg.norm(flow, axis=-1)[road].mean()
    left = np.linalg.norm(flow - dominant_motion(flow), axis=-1)[road].mean()
    print(f"{moved:.2f} px, {left:.2f} px left")
    assert moved > 5.0 and left > 0.9 * moved
