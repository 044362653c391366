"""The pinhole camera."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.camera import Camera, lens, look_at, view_rotation


def camera(rotation: np.ndarray) -> Camera:
    return Camera(rotation, np.array([1.0, 2.0, 3.0]), 50.0, (40.0, 30.0), (80, 60))


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (0.7, -0.3, 0.2), (3.0, 1.2, -0.5)])
def test_a_view_is_a_rotation(angles: tuple[float, float, float]) -> None:
    turn = view_rotation(*angles)
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_level_camera_sees_left_things_left_and_high_things_high() -> None:
    view = camera(view_rotation(0.0))
    # it looks along +x: +y is to its left, +z is up
    ahead, left, high = view.project(np.array([[11.0, 2.0, 3.0], [11.0, 4.0, 3.0], [11.0, 2.0, 5.0]]))
    np.testing.assert_allclose(ahead, [40, 30])
    np.testing.assert_allclose(left, [30, 30])
    np.testing.assert_allclose(high, [40, 20])


def test_rays_are_the_inverse_of_projection() -> None:
    view = camera(view_rotation(0.4, -0.2, 0.1))
    pixels = np.array([[0.5, 0.5], [79.5, 10.0], [33.0, 59.5]])
    points = view.position + 7.0 * view.rays(pixels[:, 0], pixels[:, 1]) @ view.rotation.T
    np.testing.assert_allclose(view.project(points), pixels, atol=1e-9)
    homogeneous = view.intrinsics @ np.linalg.inv(view.pose)[:3] @ np.append(points[0], 1.0)
    np.testing.assert_allclose(homogeneous[:2] / homogeneous[2], pixels[0], atol=1e-9)


def test_look_at_puts_the_target_into_the_middle() -> None:
    eye, target = np.array([5.0, -3.0, 4.0]), np.array([-1.0, 2.0, 0.5])
    view = Camera(look_at(eye, target), eye, 60.0, (40.0, 30.0), (80, 60))
    np.testing.assert_allclose(view.project(target), [40, 30], atol=1e-9)


def test_a_narrow_picture_is_cut_out_of_the_wide_one() -> None:
    assert lens(160, 96, 90) == pytest.approx(80.0)
    assert lens(96, 96, 90) == pytest.approx(80.0)
    assert lens(320, 96, 90) == pytest.approx(160.0)
