"""Road surfaces and rows of things."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.motion import Path
from drivereplay.domains.worlds.roads import dashes, put, ribbon, strip_of_solids, zebra
from drivereplay.domains.worlds.solids import box, newell

WHITE = (255.0, 255.0, 255.0)
STRAIGHT = Path.bends((0.0, 0.0), 0.0, [(100.0, 0.0)])
CURVE = Path.bends((0.0, 0.0), 0.0, [(100.0, 1.5)])


def areas(corners: np.ndarray) -> np.ndarray:
    normal = newell(corners)[:, 2] / 2
    assert (normal > 0).all()
    return normal


@pytest.mark.parametrize("path", [STRAIGHT, CURVE])
def test_a_ribbon_covers_its_strip_without_gaps(path: Path) -> None:
    strip = ribbon(path, 2.0, 3.0, WHITE).corners
    # the inner side of a bend is shorter
    shrink = 1 - 2.0 * (path.directions[-1] - path.directions[0]) / 100
    assert areas(strip).sum() == pytest.approx(300.0 * shrink, rel=0.01)
    np.testing.assert_allclose(strip[:-1, 1], strip[1:, 0], atol=1e-9)
    assert (strip[..., 2] == 0).all()


def test_a_straight_ribbon_needs_few_pieces_and_a_bend_more() -> None:
    assert len(ribbon(STRAIGHT, 0.0, 3.0, WHITE).corners) == 3
    assert len(ribbon(CURVE, 0.0, 3.0, WHITE).corners) > 15


def test_dashes_have_their_length_and_period() -> None:
    line = dashes(STRAIGHT, 1.0, 0.2, 4.0, 10.0, WHITE, start_m=5.0, end_m=60.0).corners
    np.testing.assert_allclose(areas(line), 0.8)
    np.testing.assert_allclose(line[:, 0, 0], [5, 15, 25, 35, 45, 55])


def test_a_zebra_spans_the_street() -> None:
    stripes = zebra(STRAIGHT, 50.0, 10.0, 3.0).corners
    np.testing.assert_allclose(areas(stripes), 1.5)
    assert stripes[..., 1].min() >= -5
    assert stripes[..., 1].max() <= 5
    assert stripes[..., 0].min() == pytest.approx(48.5)


def test_walls_follow_the_path() -> None:
    pieces = strip_of_solids(CURVE, 4.0, 10.0, 0.3, 1.0, WHITE)
    assert len(pieces) == 9
    for number, piece in enumerate(pieces):
        spot, _ = CURVE.at(np.array(10.0 * number + 5.0), 4.0)
        points = piece.corners.reshape(-1, 3)[:, :2]
        np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, spot, atol=1e-6)


def test_put_turns_things_along_the_path() -> None:
    (moved,) = put((box(4, 1, 1, WHITE),), Path.bends((0.0, 0.0), np.pi / 2, [(10.0, 0.0)]), 5.0, -2.0)
    extent = moved.corners.reshape(-1, 3).max(axis=0) - moved.corners.reshape(-1, 3).min(axis=0)
    np.testing.assert_allclose(extent, [1, 4, 1], atol=1e-9)
    np.testing.assert_allclose(moved.corners.reshape(-1, 3).min(axis=0)[:2], [1.5, 3.0], atol=1e-9)
