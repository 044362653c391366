"""The things of the worlds."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.bodies import (
    building,
    bus,
    car,
    house,
    paint,
    pedestrian,
    pole,
    sign,
    tree,
    truck,
    van,
    vehicle,
)
from drivereplay.domains.worlds.solids import Body, newell

RED = (200.0, 40.0, 40.0)


@pytest.mark.parametrize("body", [car(RED), van(RED), truck(RED), bus(RED)], ids=["car", "van", "truck", "bus"])
def test_a_vehicle_fits_its_box_and_stands_on_the_ground(body: Body) -> None:
    points = np.concatenate([solid.corners.reshape(-1, 3) for solid in body.solids])
    length, width, height = body.size_m
    np.testing.assert_allclose(points.max(axis=0), [length / 2, width / 2, height], atol=0.06)
    np.testing.assert_allclose(points.min(axis=0), [-length / 2, -width / 2, 0.0], atol=0.06)


@pytest.mark.parametrize("body", [car(RED), van(RED), truck(RED), bus(RED)], ids=["car", "van", "truck", "bus"])
def test_faces_look_outwards(body: Body) -> None:
    for solid in body.solids:
        middle = solid.corners[:6].reshape(-1, 3).mean(axis=0)
        outwards = ((solid.corners[:, 0] - middle) * newell(solid.corners)).sum(axis=1)
        assert (outwards > 0).all()


def test_lamps_are_brighter_at_night() -> None:
    assert max(solid.glows.max() for solid in car(RED, glow=1.0).solids) > 1.2
    assert max(solid.glows.max() for solid in car(RED).solids) < 1.0


def test_every_kind_of_vehicle_comes_up() -> None:
    rng = np.random.default_rng(0)
    assert {vehicle(rng, heavy=0.4)[0] for _ in range(60)} == {"car", "van", "truck", "bus"}
    assert {vehicle(rng, heavy=0.0)[0] for _ in range(60)} == {"car", "van"}


def test_a_person_has_two_legs_and_fits_the_box() -> None:
    body = pedestrian(np.random.default_rng(1))
    assert len(body.limbs) == 2
    top = max(solid.corners[..., 2].max() for solid in body.solids)
    assert top == pytest.approx(body.size_m[2], abs=0.05)


def test_scenery_is_reproducible_and_varied() -> None:
    for make in (tree, lambda rng: house(rng)[0], lambda rng: building(rng, 10.0, 8.0, 6.4, lit=0.5)):
        one, two, other = (make(np.random.default_rng(seed)) for seed in (3, 3, 5))
        np.testing.assert_array_equal(one[-1].corners, two[-1].corners)
        assert one[-1].corners.shape != other[-1].corners.shape or (one[-1].colours != other[-1].colours).any()


def test_a_low_house_has_a_roof_and_lit_windows_glow() -> None:
    rng = np.random.default_rng(2)
    assert len(building(rng, 10.0, 8.0, 6.4)) == 2
    assert len(building(rng, 10.0, 8.0, 12.8)) == 1
    assert building(rng, 12.0, 8.0, 12.8, lit=0.9)[0].glows.max() > 0.5
    assert pole(6.0, lamp=1.0)[1].glows.max() == 1.0
    assert len(sign(rng)) == 2


def test_paints_are_few_enough_to_be_kept() -> None:
    rng = np.random.default_rng(3)
    colours = {paint(rng) for _ in range(500)}
    assert 20 < len(colours) <= 30
    assert all(0 <= value <= 255 for colour in colours for value in colour)
