from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.ego.paths import footage, motion

from drivereplay.evaluation.ego.truth import (
    angle_deg,
    between_deg,
    future_steps,
    has_poses,
    real_motion,
    real_steps,
    trajectory,
)
from drivereplay.evaluation.footage import Footage


def test_annotated_poses_are_the_truth() -> None:
    real, _ = footage(motion(2.0, 0.7), motion())
    assert has_poses(real)
    found = real_motion(real)
    np.testing.assert_allclose(found.rotations, motion(2.0).rotations, atol=1e-9)
    np.testing.assert_allclose(found.lengths, 0.7)
    assert len(future_steps(found, real).found) == 6


def test_a_short_step_is_a_step_but_has_no_direction_to_judge() -> None:
    real, _ = footage(motion(length=0.045), motion())
    assert trajectory(real_steps(real))[0][-1] == pytest.approx([0, 0, 7 * 0.045])
    assert not real_motion(real).directions.any() and real_motion(real).lengths == pytest.approx([0.045] * 7)


def test_without_poses_the_estimate_on_real_frames_is() -> None:
    real = Footage(np.zeros((8, 16, 16, 3), np.uint8), 2, 4.0)
    real.estimates["camera"] = motion(3.0).packed()
    assert not has_poses(real)
    np.testing.assert_array_equal(real_motion(real).rotations, motion(3.0).rotations)


def test_a_quarter_circle() -> None:
    positions, axes = trajectory(motion(90.0, 1.0, steps=4))
    np.testing.assert_allclose(positions[-1], 0, atol=1e-9)
    assert angle_deg(axes[1][None])[0] == pytest.approx(90) and angle_deg(axes[4][None])[0] == pytest.approx(
        0, abs=1e-6
    )


def test_angles_resolve_what_is_small() -> None:
    a = np.array([[0.0, 0, 1], [0, 0, 0], [0, 0, 1]])
    b = np.array([[1e-7, 0, 1], [0, 0, 1], [0, 0, 0]])
    angles = between_deg(a, b)
    assert angles[0] == pytest.approx(np.degrees(1e-7)) and angles[1] == 90 and angles[2] == 90
    assert between_deg(np.zeros(3), np.zeros(3)) == 0
