"""Paths, legs, springs, and the dash camera."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.bodies import HIP_M
from drivereplay.domains.worlds.motion import Path, dash_cameras, place, smooth, spring_pitch, walk


def test_an_arc_has_its_radius_length_and_heading() -> None:
    path = Path.bends((1.0, 2.0), 0.0, [(10.0, 0.0), (5 * np.pi, np.pi / 2), (4.0, 0.0)])
    assert path.lengths[-1] == pytest.approx(14 + 5 * np.pi, rel=1e-3)
    spot, heading = path.at(np.array([5.0, 10 + 2.5 * np.pi, 14 + 5 * np.pi]))
    np.testing.assert_allclose(spot[0], [6, 2], atol=1e-9)
    np.testing.assert_allclose(spot[1], [11 + 10 * np.sin(np.pi / 4), 12 - 10 * np.cos(np.pi / 4)], atol=0.02)
    np.testing.assert_allclose(spot[2], [21, 16], atol=0.02)
    np.testing.assert_allclose(heading, [0, np.pi / 4, np.pi / 2], atol=0.02)


def test_a_straight_keeps_its_heading_until_the_bend() -> None:
    path = Path.bends((0.0, 0.0), 0.5, [(100.0, 0.0), (10.0, 1.0)])
    np.testing.assert_allclose(path.at(np.array([0.0, 50.0, 99.0]))[1], 0.5, atol=1e-9)


def test_left_is_left_and_paths_go_straight_on_beyond_their_ends() -> None:
    path = Path.bends((0.0, 0.0), np.pi / 2, [(10.0, 0.0)])
    spot, heading = path.at(np.array([-5.0, 15.0]), 2.0)
    np.testing.assert_allclose(spot, [[-2, -5], [-2, 15]], atol=1e-9)
    np.testing.assert_allclose(heading, np.pi / 2)


def test_smooth_starts_and_ends_at_rest() -> None:
    t = np.linspace(-0.5, 1.5, 2001)
    value = smooth(t)
    assert (value[t <= 0] == 0).all()
    assert (value[t >= 1] == 1).all()
    assert np.abs(np.diff(value, n=2)).max() < 1e-5


def test_braking_dips_the_nose_and_settles() -> None:
    pitch = spring_pitch(np.concatenate([np.zeros(10), np.full(90, -2.94)]), 0.05)
    assert (pitch[:10] == 0).all()
    assert pitch.min() < np.radians(-0.75)
    assert pitch[-1] == pytest.approx(np.radians(-0.7), rel=0.02)


def test_the_pitch_hardly_depends_on_the_frame_rate() -> None:
    slow = spring_pitch(np.full(17, -5.0), 1 / 8)
    fast = spring_pitch(np.full(65, -5.0), 1 / 32)
    np.testing.assert_allclose(slow, fast[::4], atol=0.002)


def test_the_camera_follows_the_car() -> None:
    positions = np.stack([np.arange(8.0), np.zeros(8)], axis=1)
    cameras = dash_cameras(positions, np.zeros(8), np.linspace(0, -6, 8), 8.0, (96, 64), 60.0, down_rad=0.05)
    assert [c.position[0] for c in cameras] == list(range(8))
    assert cameras[0].rotation[2, 2] == pytest.approx(-np.sin(0.05))
    # braking: the nose goes down, and the camera with it
    assert cameras[-1].rotation[2, 2] < cameras[0].rotation[2, 2] - 0.01
    assert cameras[-1].position[2] < 1.4


def test_place_and_walk_put_bodies_where_they_belong() -> None:
    rotations = np.broadcast_to(np.eye(3), (9, 4, 3, 3)).copy()
    translations = np.zeros((9, 4, 3))
    spots = np.stack([np.linspace(0, 1.2, 9), np.full(9, 3.0)], axis=1)
    walk(rotations, translations, 1, spots, np.zeros(9), 0.0)
    np.testing.assert_allclose(translations[:, 1, :2], spots)
    np.testing.assert_allclose(translations[:, 2, 2], HIP_M)
    feet = [translations[:, limb] + rotations[:, limb] @ np.array([0.0, 0.0, -HIP_M]) for limb in (2, 3)]
    # the feet swing against each other, and stay near the ground
    apart = feet[0][:, 0] - feet[1][:, 0]
    assert apart.max() > 0.5
    assert apart.min() < -0.2
    assert np.concatenate(feet)[:, 2].max() < 0.2
    place(rotations, translations, 0, spots, np.full(9, np.pi))
    np.testing.assert_allclose(rotations[0, 0] @ [1, 0, 0], [-1, 0, 0], atol=1e-12)


def test_who_stands_does_not_swing() -> None:
    rotations = np.broadcast_to(np.eye(3), (5, 3, 3, 3)).copy()
    walk(rotations, np.zeros((5, 3, 3)), 0, np.zeros((5, 2)), np.zeros(5), 1.0)
    np.testing.assert_allclose(rotations, np.broadcast_to(np.eye(3), rotations.shape))
