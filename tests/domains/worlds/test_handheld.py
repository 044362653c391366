"""The hand-held camera."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot


def test_it_pans_zooms_and_shakes_while_nothing_else_moves() -> None:
    zooms, pans = [], []
    for clip in range(6):
        take = world_named("handheld").take(Shot(1, clip, 33, 8.0, 64, 96))
        assert (np.ptp(take.translations, axis=0) == 0).all()
        focal = np.array([camera.focal_px for camera in take.cameras])
        yaw = np.array([np.arctan2(camera.rotation[1, 2], camera.rotation[0, 2]) for camera in take.cameras])
        zooms.append(np.ptp(focal) / focal.mean())
        pans.append(np.ptp(yaw))
        # a hand never holds still, nor does it jump
        step = np.abs(np.diff(yaw))
        assert step.max() > 1e-3
        assert step.max() < 0.15
    assert max(zooms) > 0.15
    assert max(pans) > 0.3


def test_the_annotated_focal_length_follows_the_zoom() -> None:
    columns = world_named("handheld").record(Shot(1, 2, 9, 8.0, 32, 48)).frame_columns
    np.testing.assert_array_equal(columns["fx_px"], columns["fy_px"])
    assert np.ptp(columns["fx_px"]) > 0
