"""The motorway: regular clips are steady, rare ones are not, and nobody drives through anybody."""

from __future__ import annotations

import numpy as np

from .traffic_checks import collisions, ego_motion, sideways, takes


def test_regular_traffic_is_fast_straight_and_steady() -> None:
    for take in takes("highway", "regular", 8):
        speed, yaw_rate = ego_motion(take)
        assert 18 < speed.mean() < 40
        assert np.abs(np.diff(speed)).max() * 8 < 4.0
        assert np.abs(yaw_rate).max() < 0.03
        assert collisions(take) == 0


def test_rare_clips_hold_something_rare() -> None:
    rare = [
        sideways(take) > 1.0 or np.diff(ego_motion(take)[0]).min() * 8 < -2.5 or _is_passed(take)
        for take in takes("highway", "rare-motion", 16)
    ]
    regular = [sideways(take) > 3.0 for take in takes("highway", "regular", 8)]
    assert np.mean(rare) > 0.85
    assert not any(regular)


def _is_passed(take) -> bool:  # type: ignore[no-untyped-def]
    """Whether a vehicle that begins beside or behind the camera is well ahead at the end, or a lot faster."""
    own = np.array([camera.position[0] for camera in take.cameras])
    others = take.translations[:, take.scene.main_bodies, 0] - own[:, None]
    return bool(((others[0] < 10) & (others[-1] - others[0] > 8) & (others[-1] > 0) & (others[-1] < 60)).any())


def test_rare_clips_are_free_of_collisions_as_well() -> None:
    assert sum(collisions(take) > 0 for take in takes("highway", "rare-motion", 12)) <= 1
