"""Convex solids."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.solids import (
    Face,
    Solid,
    barrel,
    box,
    ground,
    loft,
    newell,
    padded,
    patches,
    polygon,
    rectangle,
    sphere_rings,
)

WHITE = (255.0, 255.0, 255.0)


def volume(solid: Solid) -> float:
    """Volume by the divergence theorem; right only if every face is closed and looks outwards."""
    normals = newell(solid.corners) / 2
    # any corner of a flat face serves: the dot product with its normal is the same
    return float((normals * solid.corners[:, 0]).sum() / 3)


@pytest.mark.parametrize(
    ("solid", "expected"),
    [
        (box(2.0, 3.0, 4.0, WHITE, bottom_m=1.0), 24.0),
        (loft(rectangle(2, 2), rectangle(1, 1), 0.0, 3.0, WHITE), 7.0),
        (loft(polygon(6, 1.0), polygon(6, 1.0), -1.0, 1.0, WHITE), 2 * 6 * np.sqrt(3) / 4),
    ],
)
def test_faces_close_the_solid_and_look_outwards(solid: Solid, expected: float) -> None:
    assert volume(solid) == pytest.approx(expected)
    assert volume(solid.moved(3.0, -2.0, 5.0, 1.1)) == pytest.approx(expected)


def test_a_barrel_is_convex_and_nearly_a_ball() -> None:
    solid = barrel(sphere_rings(1.0, 1.0, 8), WHITE, sides=8)
    assert 0.8 * 4 / 3 * np.pi < volume(solid) < 4 / 3 * np.pi
    normals = newell(solid.corners)
    points = solid.corners.reshape(-1, 3)
    for normal, corner in zip(normals, solid.corners[:, 0], strict=True):
        assert ((points - corner) @ normal <= 1e-9).all()


def test_repeated_corners_do_not_change_a_face() -> None:
    triangle = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])
    np.testing.assert_allclose(newell(padded(triangle)), newell(triangle))
    np.testing.assert_allclose(newell(triangle), [0, 0, 4])


def test_decals_come_after_the_faces_they_lie_on() -> None:
    decal = Face(np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]]), (9.0, 9.0, 9.0), glow=0.5)
    solid = box(1, 1, 1, WHITE).with_decals([decal])
    assert len(solid.corners) == 7
    assert solid.glows[-1] == 0.5
    assert solid.colours[-1].tolist() == [9, 9, 9]


def test_ground_looks_up() -> None:
    assert (newell(ground(rectangle(3, 2), WHITE).corners)[:, 2] == 12).all()
    two = patches(np.array([rectangle(1, 1), rectangle(2, 2)]), WHITE)
    np.testing.assert_allclose(newell(two.corners)[:, 2], [2, 8])
