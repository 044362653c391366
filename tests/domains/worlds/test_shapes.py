"""Falling things."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot


def test_things_fall_bounce_and_stay_above_the_floor() -> None:
    falls, bounces = 0, 0
    for clip in range(6):
        take = world_named("shapes").take(Shot(1, clip, 49, 24.0, 64, 96))
        bodies = take.scene.main_bodies
        turns, size = take.rotations[:, bodies], take.scene.sizes_m[:, 2]
        height = take.translations[:, bodies, 2] + turns[..., 2, 2] * size / 2
        assert height.min() > 0.1
        speed = np.diff(height, axis=0)
        falls += int((speed.min(axis=0) < -0.05).sum())
        bounces += int(((speed[:-1] < -0.03) & (speed[1:] > 0.01)).any(axis=0).sum())
        # between bounces the second difference is gravity
        free = np.diff(height, n=2, axis=0) * 24**2
        assert np.abs(np.median(free[:8][height[1:9] > 1.5]) + 9.81) < 0.2
    assert falls > 10
    assert bounces > 8


def test_the_camera_does_not_move() -> None:
    take = world_named("shapes").take(Shot(1, 0, 5, 8.0, 64, 96))
    assert len({id(camera) for camera in take.cameras}) == 1


def test_spins_show() -> None:
    take = world_named("shapes").take(Shot(2, 0, 9, 24.0, 64, 96))
    turned = take.rotations[0, 1:].transpose(0, 2, 1) @ take.rotations[8, 1:]
    angle = np.arccos(np.clip((np.trace(turned, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert angle.max() > 0.2
