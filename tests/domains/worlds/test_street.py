"""The street that `town` and `streetcam` share."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.motion import Path
from drivereplay.domains.worlds.people import Crowd
from drivereplay.domains.worlds.scene import SceneBuilder
from drivereplay.domains.worlds.street import HOUSES_M, KERB_M, PARKING_M, houses, parked, pavement_people, streets

MAIN = Path.bends((-30.0, 0.0), 0.0, [(150.0, 0.0)])


def test_nothing_stands_on_the_carriageways() -> None:
    builder = SceneBuilder()
    houses(builder, np.random.default_rng(1), 40.0, 120.0)
    scene = builder.build()
    low, high = scene.boxes[:2].min(axis=1), scene.boxes[:2].max(axis=1)
    on_main = (low[1] < KERB_M - 1.0) & (high[1] > 1.0 - KERB_M) & (low[0] < 115)
    on_cross = (low[0] < 40 + KERB_M) & (high[0] > 40 - KERB_M) & (np.abs(low[1]) < 60)
    # crowns of trees and arms of lamps reach over the kerb, nothing that stands on the ground does
    standing = scene.boxes[2].min(axis=0) < 1.0
    assert not (on_main & standing).any()
    assert not (on_cross & standing).any()
    assert scene.boxes.shape[2] > 30


def test_surfaces_look_up_and_markings_lie_on_top() -> None:
    builder = SceneBuilder()
    streets(builder, MAIN, 40.0, 120.0)
    scene = builder.build()
    assert (scene.normals[2] > 0.999).all()
    brightness = scene.colours.mean(axis=1)
    assert brightness[-40:].min() > 200


def test_parked_cars_keep_the_crossing_and_the_one_who_pulls_out_free() -> None:
    builder = SceneBuilder()
    busy = [np.array([20.0, 26.0])]
    places = parked(builder, np.random.default_rng(2), 60.0, 120.0, busy)
    spots = np.array([spot for spot, _ in places.values()])
    assert len(spots) > 6
    assert (np.abs(spots[:, 0] - 60.0) > KERB_M + 8).all()
    right = spots[spots[:, 1] < 0, 0]
    assert not ((right > 16) & (right < 30)).any()
    np.testing.assert_allclose(np.abs(spots[:, 1]), PARKING_M)
    for side in (right, spots[spots[:, 1] > 0, 0]):
        assert np.diff(np.sort(side)).min() > 5.5


def test_people_walk_on_the_pavement() -> None:
    builder = SceneBuilder()
    crowd = Crowd(builder, np.random.default_rng(3))
    pavement_people(crowd, np.random.default_rng(4), 60.0, 120.0)
    scene = builder.build()
    assert len(scene.classes) >= 2
    rotations = np.broadcast_to(np.eye(3), (2, len(scene.body_objects), 3, 3)).copy()
    translations = np.zeros((2, len(scene.body_objects), 3))
    crowd.pose(rotations, translations, np.array([0.0, 1.0]))
    across = np.abs(translations[:, scene.main_bodies, 1])
    assert (across > KERB_M).all()
    assert (across < HOUSES_M).all()
