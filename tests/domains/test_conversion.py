"""Geometry that readers of data sets share."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.conversion import FORWARD_LEFT_UP, cuboid_box, identity_of, rigid, rotation, yaw

CAMERA = np.array([[100.0, 0, 80], [0, 100, 48], [0, 0, 1]])
POSE = rigid(FORWARD_LEFT_UP, (0, 0, 1.5))
PICTURE = (160, 96)


def test_quaternions_agree_with_scipy() -> None:
    from scipy.spatial.transform import Rotation

    for q in np.random.default_rng(0).normal(size=(20, 4)):
        assert np.allclose(rotation(*q), Rotation.from_quat([*q[1:], q[0]]).as_matrix())


def test_camera_axes() -> None:
    # forward in the picture is x in the vehicle, right is −y, down is −z
    assert (FORWARD_LEFT_UP @ [0, 0, 1]).tolist() == [1, 0, 0]
    assert (FORWARD_LEFT_UP @ [1, 0, 0]).tolist() == [0, -1, 0]
    assert (FORWARD_LEFT_UP @ [0, 1, 0]).tolist() == [0, 0, -1]


def test_a_cuboid_straight_ahead() -> None:
    box, share = cuboid_box(rigid(np.eye(3), (10, 0, 1.5)), (0.001, 2, 1), POSE, CAMERA, PICTURE) or ([], 0)
    assert box == pytest.approx([70, 43, 90, 53], abs=0.01)
    assert share == pytest.approx(1)


def test_half_outside_behind_and_beside() -> None:
    body = rigid(np.eye(3), (10, 8, 1.5))
    box, share = cuboid_box(body, (0.001, 2, 1), POSE, CAMERA, PICTURE) or ([], 0)
    assert box == pytest.approx([0, 43, 10, 53], abs=0.01)
    assert share == pytest.approx(0.5, abs=0.01)
    assert cuboid_box(rigid(np.eye(3), (-10, 0, 1)), (4, 2, 1), POSE, CAMERA, PICTURE) is None
    assert cuboid_box(rigid(np.eye(3), (10, 30, 1)), (4, 2, 1), POSE, CAMERA, PICTURE) is None


def test_identities_and_headings() -> None:
    assert identity_of("a") == identity_of("a") != identity_of("b")
    assert 0 <= identity_of("a") < 2**63
    assert yaw(rigid(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), (0, 0, 0))) == pytest.approx(np.pi / 2)
