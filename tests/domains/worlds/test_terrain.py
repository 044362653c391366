"""Ground and things of the worlds that are no streets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from drivereplay.domains.worlds.scene import SceneBuilder
from drivereplay.domains.worlds.solids import newell
from drivereplay.domains.worlds.terrain import daylight, fields, hill, land, sculpture


def test_land_and_fields_cover_the_ground() -> None:
    builder = SceneBuilder()
    land(builder, np.random.default_rng(0), 100.0)
    fields(builder, np.random.default_rng(0), 90.0, 30.0)
    scene = builder.build()
    assert len(scene.counts) == 2 + 9
    assert (scene.normals[2] == 1).all()


def test_a_hill_is_convex() -> None:
    solid = hill(np.random.default_rng(1))
    points, normals = solid.corners.reshape(-1, 3), newell(solid.corners)
    for normal, corner in zip(normals, solid.corners[:, 0], strict=True):
        assert ((points - corner) @ normal <= 1e-6 * np.linalg.norm(normal)).all()


def test_the_parts_of_a_sculpture_are_stacked_apart() -> None:
    for seed in range(12):
        parts = sculpture(np.random.default_rng(seed))
        for below, above in itertools.pairwise(parts):
            assert above.corners[..., 2].min() > below.corners[..., 2].max()
        assert parts[0].corners[..., 2].min() >= -1e-9 or parts[0].corners[..., 2].min() == pytest.approx(0, abs=0.1)


def test_the_sun_is_above_the_horizon() -> None:
    for seed in range(10):
        look = daylight(np.random.default_rng(seed))
        assert np.linalg.norm(look.sun) == pytest.approx(1.0)
        assert look.sun[2] > 0.5
