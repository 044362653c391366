from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import texture

from drivereplay.evaluation.camera import CameraMotion, camera_motion, intrinsics, step_between
from drivereplay.evaluation.footage import Footage

HEIGHT, WIDTH = 96, 160


def _flight(turn_deg: float, step: tuple[float, float, float], frames: int = 5, widths: float = 0.9) -> Footage:
    """Textured planes at several depths seen by a camera that steps and turns by the same amount each frame."""
    rng = np.random.default_rng(0)
    camera = np.array([[widths * WIDTH, 0, WIDTH / 2], [0, widths * WIDTH, HEIGHT / 2], [0, 0, 1.0]])
    planes = [(depth, texture(rng, 300, 500, 2.0), x) for depth, x in ((30.0, -250), (14.0, 130), (9.0, -420))]
    pictures = []
    for t in range(frames):
        angle = np.radians(turn_deg) * t
        rotation = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
        position = np.array(step) * t
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for depth, paint, left in planes:
            # plane point (u, v) in units of depth / 100: X = ((u + left) , v − 150, 100) · depth / 100
            plane = np.array([[1, 0, left], [0, 1, -150], [0, 0, 100]]) * depth / 100
            shifted = plane.copy()
            shifted[:, 2] -= position
            mapping = camera @ rotation.T @ shifted
            covered = cv2.warpPerspective(np.full(paint.shape[:2], 255, np.uint8), mapping, (WIDTH, HEIGHT))
            drawn = cv2.warpPerspective(paint, mapping, (WIDTH, HEIGHT))
            picture[covered > 254] = drawn[covered > 254]
        pictures.append(picture)
    return Footage(np.stack(pictures), 2, 8.0)


@pytest.mark.parametrize(("turn", "step"), [(0.0, (0.0, 0.0, 0.4)), (0.8, (0.1, 0.0, 0.4)), (-1.0, (0.0, 0.0, 0.5))])
def test_turn_and_direction_are_found(turn: float, step: tuple[float, float, float]) -> None:
    motion = camera_motion(_flight(turn, step))
    assert motion.found.all()
    angles = [np.degrees(cv2.Rodrigues(r)[0][1, 0]) for r in motion.rotations]
    # painted planes tear at their edges; the strict figures are taken on the rendered town, in tests/metrology
    assert np.median(np.abs(np.array(angles) - turn)) < 0.5
    # the step is given in the world's axes, the first camera's; later ones have turned
    first = np.array(step) / np.linalg.norm(step)
    assert np.degrees(np.arccos(np.clip(first @ motion.directions[0], -1, 1))) < 10
    assert np.median(np.abs(motion.lengths / motion.lengths[0] - 1)) < 0.25


def test_standing_still_has_no_direction() -> None:
    footage = _flight(0.0, (0.0, 0.0, 0.0))
    motion = camera_motion(footage)
    assert not motion.directions.any() and not motion.lengths.any() and motion.found.all()


@pytest.mark.parametrize(("turn", "step"), [(0.0, (0.0, 0.0, 0.4)), (0.8, (0.1, 0.0, 0.4))])
def test_a_stop_does_not_change_the_lengths_after_it(turn: float, step: tuple[float, float, float]) -> None:
    whole = _flight(turn, step, 7)
    stopped = camera_motion(Footage(whole.frames[[0, 1, 2, 3, 3, 3, 4, 5, 6]], 2, 8.0))
    assert (stopped.lengths == 0).tolist() == [False] * 3 + [True] * 2 + [False] * 3
    assert stopped.lengths[stopped.lengths > 0] == pytest.approx(np.ones(6), abs=0.1)


def test_a_blank_video_has_no_direction() -> None:
    motion = camera_motion(Footage(np.zeros((4, 48, 64, 3), np.uint8), 2, 8.0))
    assert not motion.found.any()
    np.testing.assert_array_equal(motion.rotations, np.tile(np.eye(3), (3, 1, 1)))
    assert not motion.directions.any()


def test_it_is_repeatable_and_can_be_packed() -> None:
    first, again = (camera_motion(_flight(0.5, (0.0, 0.0, 0.4), 4)).packed() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(CameraMotion.of(first).packed(), first)


@pytest.mark.parametrize("seed", range(8))
def test_most_points_are_in_front_of_both_cameras(seed: int) -> None:
    """With the noise of small frames the twisted one of an essential matrix's two rotations is not taken."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-6, 6, 80), rng.uniform(-1.5, 1.5, 80), rng.uniform(5, 30, 80)])
    turn = cv2.Rodrigues(np.array([0.0, np.radians(rng.uniform(-1, 1)), 0.0]))[0]
    moved = points @ turn.T + (0, 0, -0.5)
    noise = rng.normal(0, 0.3 / 144, (80, 2))
    rotation, direction = step_between(points[:, :2] / points[:, 2:], moved[:, :2] / moved[:, 2:] + noise, 1 / 144)
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(rotation @ turn)[0])) < 3
    assert direction[2] > 0.9


@pytest.mark.parametrize("widths", [0.55, 0.9, 1.5])
def test_the_focal_length_is_calibrated_on_the_real_video(widths: float) -> None:
    """A camera that turns and moves; what cannot be told from a straight drive keeps the usual one."""
    real = _flight(1.5, (0.3, 0.0, 0.4), 8, widths)
    assert intrinsics(real, 0)[0, 0] / WIDTH == pytest.approx(widths, rel=0.3)
    made = real.with_frames(np.zeros_like(real.frames))
    np.testing.assert_array_equal(intrinsics(made, 0), intrinsics(real, 0))
