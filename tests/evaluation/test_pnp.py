from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import texture

from drivereplay.evaluation.camera import intrinsics
from drivereplay.evaluation.ego.truth import angle_deg
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.pnp import motion_with_depth

HEIGHT, WIDTH, WALL_M = 96, 160, 9.0


def _towards_a_wall(turn_deg: float, step: tuple[float, float, float], frames: int = 4) -> tuple[Footage, np.ndarray]:
    """A painted wall and its depth in every pixel; the camera steps in the world's axes and turns."""
    paint = texture(np.random.default_rng(0), 400, 600, 2.0)
    camera = intrinsics(Footage(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), 1, 8.0), 0)
    wall = np.array([[1 / 30, 0, -10.0], [0, 1 / 30, -6.7], [0, 0, WALL_M]])
    half = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    rays = np.stack([xs, ys, np.ones_like(xs)], -1) @ np.linalg.inv(camera).T
    pictures, depths = [], []
    for t in range(frames):
        rotation = cv2.Rodrigues(np.array([0.0, np.radians(turn_deg) * t, 0.0]))[0]
        position = np.array(step) * t
        seen = wall.copy()
        seen[:, 2] -= position
        pictures.append(cv2.warpPerspective(paint, half @ camera @ rotation.T @ seen, (WIDTH, HEIGHT)))
        depths.append((WALL_M - position[2]) / (rays @ rotation.T)[..., 2])
    return Footage(np.stack(pictures), 2, 8.0), np.stack(depths)


@pytest.mark.parametrize(("turn", "step"), [(0.0, (0.0, 0.0, 0.4)), (0.8, (0.1, 0.0, 0.4))])
def test_turn_direction_and_metres_are_found(turn: float, step: tuple[float, float, float]) -> None:
    footage, depths = _towards_a_wall(turn, step)
    # the sky
    depths[:, :8] = np.inf
    motion = motion_with_depth(footage, depths)
    assert motion.found.all()
    expected = cv2.Rodrigues(np.array([0.0, np.radians(turn), 0.0]))[0]
    assert angle_deg(motion.rotations @ expected.T).max() < 0.1
    assert motion.lengths == pytest.approx(np.linalg.norm(step), rel=0.05)
    assert np.degrees(np.arccos(motion.directions[0] @ (np.array(step) / np.linalg.norm(step)))) < 3


def test_standing_still_and_unknown_depth() -> None:
    footage, depths = _towards_a_wall(0.0, (0.0, 0.0, 0.0))
    motion = motion_with_depth(footage, depths)
    assert motion.found.all() and not motion.lengths.any() and not motion.directions.any()
    unknown = motion_with_depth(footage, np.full_like(depths, np.nan))
    assert not unknown.found.any()
    with pytest.raises(ValueError, match="depths of shape"):
        motion_with_depth(footage, depths[:2])
