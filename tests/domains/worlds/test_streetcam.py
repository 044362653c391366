"""The fixed camera over the crossing."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot

from .traffic_checks import collisions, takes


def test_the_camera_is_fixed_and_sees_things_move() -> None:
    world = world_named("streetcam")
    for clip in range(4):
        take = world.take(Shot(1, clip, 17, 8.0, 64, 96))
        assert len({id(camera) for camera in take.cameras}) == 1
        footage = world.record(Shot(1, clip, 9, 8.0, 64, 96))
        assert len(set(footage.object_columns["id"])) >= 3
        moved = np.linalg.norm(np.ptp(take.translations[:, take.scene.main_bodies, :2], axis=0), axis=1)
        assert (moved > 3.0).sum() >= 2
        # and others wait
        assert (moved < 0.5).sum() >= 2


def test_cars_do_not_run_into_each_other() -> None:
    assert sum(collisions(take) for take in takes("streetcam", "regular", 8)) <= 1
