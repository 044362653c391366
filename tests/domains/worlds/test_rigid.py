"""Rigid bodies obey mechanics."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.rigid import GRAVITY, RigidBodies, rotation_by


def balls(centre: list[list[float]], velocity: list[list[float]], **options: float) -> RigidBodies:
    count = len(centre)
    mass = np.ones(count)
    return RigidBodies(
        np.array(centre, float), np.array(velocity, float), np.zeros((count, 3)),
        np.broadcast_to(np.eye(3), (count, 3, 3)).copy(),
        mass, 0.4 * mass * 0.25, np.zeros((count, 8, 3)), np.full(count, 0.5), **options,
    )  # fmt: skip


def test_free_flight_is_a_parabola() -> None:
    centres, _ = balls([[0, 0, 50]], [[3, -1, 4]]).run(30, 15.0)
    t = np.arange(30) / 15
    np.testing.assert_allclose(
        centres[:, 0], np.stack([3 * t, -t, 50 + 4 * t - GRAVITY * t * t / 2], axis=1), atol=1e-9
    )


def test_spin_is_kept_in_flight() -> None:
    body = balls([[0, 0, 50]], [[0, 0, 0]])
    body.spin[:] = [[0.0, 2.0, 0.0]]
    _, turns = body.run(11, 10.0)
    np.testing.assert_allclose(turns[10, 0], rotation_by(np.array([[0.0, 2.0, 0.0]]))[0], atol=1e-9)


def test_a_bounce_loses_the_stated_share_of_speed() -> None:
    body = balls([[0, 0, 2.5]], [[0, 0, 0]], restitution=0.6)
    centres, _ = body.run(400, 200.0)
    height = centres[:, 0, 2] - 0.5
    bottom = int(height.argmin())
    # e² of the drop height
    assert height[bottom:].max() == pytest.approx(0.36 * 2.0, rel=0.12)
    assert height.min() > -0.01


def test_friction_turns_sliding_into_rolling() -> None:
    body = balls([[0, 0, 0.5]], [[4, 0, 0]], friction=0.5)
    body.run(400, 100.0)
    # a solid ball keeps 5/7 of its speed and then rolls: v = ω r
    assert body.velocity[0, 0] == pytest.approx(4 * 5 / 7, rel=0.03)
    assert body.spin[0, 1] * 0.5 == pytest.approx(body.velocity[0, 0], rel=0.03)


def test_collisions_keep_momentum_and_never_gain_energy() -> None:
    body = balls([[0, 0, 40], [1.6, 0.2, 40]], [[3, 0, 0], [-2, 0, 0]], restitution=0.9)
    body.mass = np.array([1.0, 2.0])
    before = (body.mass[:, None] * body.velocity).sum(axis=0)
    energy = (body.mass * (body.velocity**2).sum(axis=1)).sum()
    body.run(8, 10.0)
    after = (body.mass[:, None] * body.velocity).sum(axis=0)
    np.testing.assert_allclose(after[:2], before[:2], atol=1e-9)
    assert (body.mass * (body.velocity[:, :2] ** 2).sum(axis=1)).sum() < energy
    assert body.velocity[0, 0] < body.velocity[1, 0]


def test_a_cube_comes_to_rest_on_a_side() -> None:
    half = 0.4
    body = balls([[0, 0, 2.0]], [[0.5, 0.2, 0]], restitution=0.4, friction=0.6)
    corners = (np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1.0) * half
    body.points, body.inertia = corners[None], np.array([2 / 3 * half**2])
    body.spin[:] = [[1.0, 2.0, 0.5]]
    centres, turns = body.run(240, 30.0)
    assert centres[-1, 0, 2] == pytest.approx(half, abs=0.03)
    assert np.abs(turns[-1, 0][2]).max() > 0.99
    assert np.linalg.norm(body.velocity) < 0.4


def test_turns_stay_rotations() -> None:
    turns = rotation_by(np.random.default_rng(0).normal(0, 2, (20, 3)))
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(rotation_by(np.zeros((1, 3)))[0], np.eye(3))
