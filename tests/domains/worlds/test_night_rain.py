"""The rainy night: dark, lit by lamps, and with rare clips."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot

from .traffic_checks import collisions, ego_motion, sideways, takes


def test_it_is_dark_with_bright_lamps() -> None:
    frames = world_named("night-rain").record(Shot(0, 0, 3, 8.0, 96, 160)).frames
    day = world_named("town").record(Shot(0, 0, 3, 8.0, 96, 160)).frames
    assert frames.mean() < 0.5 * day.mean()
    # what headlights reach is lighter than the sky
    assert frames[:, 70:].mean() > 1.5 * frames[:, :20].mean()
    assert frames.max() > 180


def test_regular_clips_are_steady() -> None:
    for take in takes("night-rain", "regular", 8):
        speed, yaw_rate = ego_motion(take)
        assert 9 < speed.mean() < 24
        assert np.abs(yaw_rate).max() < 0.08
        assert collisions(take) == 0


def test_rare_clips_hold_something_rare() -> None:
    rare = []
    for take in takes("night-rain", "rare-motion", 20):
        speed, yaw_rate = ego_motion(take)
        person = "pedestrian" in take.scene.classes
        braking = np.diff(speed).min() * 8 < -1.5
        rare.append(person or braking or np.abs(yaw_rate).max() > 0.08 or sideways(take) > 1.0)
    assert np.mean(rare) > 0.85


def test_rain_differs_from_frame_to_frame_and_belongs_to_the_clip() -> None:
    world = world_named("night-rain")
    one, same = (world.record(Shot(0, 1, 2, 8.0, 64, 96)).frames for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert (one[0] != one[1]).mean() > 0.05
