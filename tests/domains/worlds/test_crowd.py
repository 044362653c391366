"""The crowd."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.crowd import walkers
from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.world import Shot


def test_people_walk_at_walking_pace_and_in_all_directions() -> None:
    places, heading = walkers(np.random.default_rng(0), 20, 40, 8.0)
    speed = np.linalg.norm(np.diff(places, axis=0), axis=2) * 8
    assert 0.7 < speed.mean() < 1.8
    assert speed.max() < 4.0
    assert np.ptp(np.cos(heading[0])) > 1.2
    assert np.ptp(np.sin(heading[0])) > 1.2


def test_people_make_way_for_each_other() -> None:
    nearest = []
    for seed in range(5):
        places, _ = walkers(np.random.default_rng(seed), 20, 40, 8.0)
        apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=3) + 9 * np.eye(20)
        # after a second to come apart from where they happened to begin
        nearest.append(apart[8:].min())
    assert min(nearest) > 0.25
    assert np.median(nearest) > 0.35


def test_people_look_where_they_walk() -> None:
    places, heading = walkers(np.random.default_rng(3), 15, 24, 8.0)
    step = np.diff(places, axis=0)
    way = np.arctan2(step[..., 1], step[..., 0])
    off = np.abs(np.angle(np.exp(1j * (way - heading[:-1]))))
    assert np.median(off) < 0.1


def test_many_are_in_the_picture() -> None:
    columns = world_named("crowd").record(Shot(1, 0, 5, 8.0, 64, 96)).object_columns
    assert len(set(columns["id"])) >= 8
    assert set(columns["class"]) == {"pedestrian"}
