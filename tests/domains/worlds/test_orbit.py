"""The circling camera."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot


def test_the_camera_circles_the_middle_and_looks_at_it() -> None:
    for clip in range(5):
        take = world_named("orbit").take(Shot(1, clip, 17, 8.0, 64, 96))
        places = np.stack([camera.position for camera in take.cameras])
        angles = np.unwrap(np.arctan2(places[:, 1], places[:, 0]))
        steps = np.diff(angles)
        assert (np.sign(steps) == np.sign(steps[0])).all()
        assert 0.2 < abs(angles[-1] - angles[0]) / 2.0 < 0.9
        for camera in take.cameras:
            np.testing.assert_allclose(camera.project(np.array([0.0, 0.0, 0.9])), [48, 32], atol=1e-6)


def test_things_stand_apart_on_the_ground() -> None:
    take = world_named("orbit").take(Shot(1, 2, 3, 8.0, 64, 96))
    spots = take.translations[0, take.scene.main_bodies]
    assert (spots[:, 2] == 0).all()
    apart = np.linalg.norm(spots[:, None] - spots[None], axis=2)[np.triu_indices(len(spots), 1)]
    assert apart.min() > 1.5
