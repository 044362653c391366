"""The drone."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot


def test_all_six_degrees_of_freedom_move() -> None:
    for clip in range(4):
        take = world_named("drone").take(Shot(1, clip, 25, 8.0, 64, 96))
        places = np.stack([camera.position for camera in take.cameras])
        turns = np.stack([camera.rotation for camera in take.cameras])
        yaw = np.arctan2(turns[:, 1, 2], turns[:, 0, 2])
        pitch = np.arcsin(turns[:, 2, 2])
        roll = np.arcsin(np.clip(-turns[:, 2, 0] / np.cos(pitch), -1, 1))
        for values in (*places.T, np.unwrap(yaw), pitch, roll):
            assert np.ptp(values) > 0.01
        assert (places[:, 2] >= 14).all()
        # smooth: no jumps between frames
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 3.0
        assert np.abs(np.diff(np.unwrap(yaw))).max() < 0.3


def test_cars_keep_to_the_road_and_drive_on_the_right() -> None:
    take = world_named("drone").take(Shot(1, 0, 9, 8.0, 64, 96))
    assert len(take.scene.classes) > 3
    bodies = take.scene.main_bodies
    step = np.diff(take.translations[:, bodies, :2], axis=0)
    ahead = take.rotations[:-1, bodies][..., :2, 0]
    assert (np.linalg.norm(step, axis=2) > 0.5).all()
    along = (step * ahead).sum(axis=2) / np.linalg.norm(step, axis=2)
    assert along.min() > 0.99
