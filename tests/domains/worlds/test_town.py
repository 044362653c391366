"""The town: slow, full of things, and in its rare clips full of surprises."""

from __future__ import annotations

import numpy as np

from .traffic_checks import collisions, ego_motion, sideways, takes


def test_regular_clips_are_slow_and_straight() -> None:
    for take in takes("town", "regular", 6):
        speed, yaw_rate = ego_motion(take)
        assert 6 < speed.mean() < 14
        assert np.abs(yaw_rate).max() < 0.01
        assert collisions(take) == 0
        assert {"car", "pedestrian"} <= set(take.scene.classes)
        assert len(take.scene.classes) > 12


def test_rare_clips_turn_brake_or_give_way() -> None:
    kinds = {"turn": 0, "brake": 0, "sideways": 0}
    clips = takes("town", "rare-motion", 20)
    for take in clips:
        speed, yaw_rate = ego_motion(take)
        kinds["turn"] += np.abs(yaw_rate).max() > 0.3
        kinds["brake"] += np.diff(speed).min() * 8 < -1.5
        kinds["sideways"] += sideways(take) > 1.0
    assert min(kinds.values()) >= 2
    assert sum(kinds.values()) >= 0.85 * len(clips)


def test_turns_follow_a_circle_at_a_bearable_speed() -> None:
    for take in takes("town", "rare-motion", 20):
        speed, yaw_rate = ego_motion(take)
        # sideways acceleration
        assert np.abs(speed * yaw_rate).max() < 9.0


def test_the_car_stops_before_people_and_crossing_cars() -> None:
    for take in takes("town", "rare-motion", 12, frames=48):
        people = [n for n, name in enumerate(take.scene.classes) if name == "pedestrian"]
        for t, camera in enumerate(take.cameras):
            for n in people:
                away = take.translations[t, take.scene.main_bodies[n], :2] - camera.position[:2]
                assert np.hypot(*away) > 0.9
