"""The eight ways in which a frame may be shown."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from drivereplay.videos.geometry import Fit, Orientation, centre_cut, scaled_size, square_width

FRAME = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def placed(matrix: tuple[float, float, float, float]) -> np.ndarray:
    """FRAME with each pixel where the matrix a b c d puts it."""
    a, b, c, d = matrix
    places = {(round(b * p + d * q), round(a * p + c * q)): FRAME[q, p] for q in range(2) for p in range(3)}
    top, left = min(y for y, _ in places), min(x for _, x in places)
    shown = np.zeros((max(y for y, _ in places) - top + 1, max(x for _, x in places) - left + 1, 3), np.uint8)
    for (y, x), pixel in places.items():
        shown[y - top, x - left] = pixel
    return shown


@pytest.mark.parametrize("matrix", [m for x in (-1, 1) for y in (-1, 1) for m in ((x, 0, 0, y), (0, x, y, 0))])
def test_each_pixel_comes_where_the_matrix_puts_it(matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = (value << 16 for value in matrix)
    orientation = Orientation.of_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
    shown = orientation.upright(FRAME)
    assert np.array_equal(shown, placed(matrix))
    assert shown.flags.c_contiguous
    assert orientation.shown_size(3, 2) == (shown.shape[1], shown.shape[0])
    assert orientation.shown_size(*orientation.shown_size(3, 2)) == (3, 2)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_an_angle_that_is_not_right_is_the_nearest_right_one(degrees: int) -> None:
    def turned(angle: float) -> Orientation:
        cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        return Orientation.of_matrix([round(v * 65536) for v in (cos, sin, 0, -sin, cos, 0, 0, 0, 16384)])

    assert turned(degrees + 20) == turned(degrees - 20) == turned(degrees) == Orientation(turns=-degrees // 90 % 4)


def test_a_matrix_of_zeros_is_none() -> None:
    assert Orientation.of_matrix([0] * 9) == Orientation()


@pytest.mark.parametrize(
    ("aspect", "width"),
    [(Fraction(1), 80), (Fraction(16, 11), 116), (Fraction(2, 3), 53), (Fraction(60_000, 1), 80), (Fraction(0, 1), 80)],
)
def test_width_in_square_pixels(aspect: Fraction, width: int) -> None:
    assert square_width(80, float(aspect)) == width


def test_crop_keeps_the_centre_and_the_proportions() -> None:
    shape = Fit(height=32, width=48, resize="crop")
    assert scaled_size((960, 540), shape) == (57, 32)
    assert scaled_size((480, 640), shape) == (48, 64)
    assert scaled_size((960, 540), Fit(height=32, width=48)) == (48, 32)
    wide = np.broadcast_to(np.arange(57, dtype=np.uint8)[:, None], (32, 57, 3))
    assert centre_cut(wide, shape)[0, :, 0].tolist() == list(range(4, 52))
