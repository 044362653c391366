"""Geometry that readers of data sets share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from drivereplay.domains.conversion import (
    FORWARD_LEFT_UP,
    Rows,
    converted,
    cuboid_box,
    identity_of,
    rigid,
    rotation,
    yaw,
)
from drivereplay.errors import DataError

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


def test_a_cuboid_that_reaches_behind_the_camera_is_cut() -> None:
    # a wall 1 m high from 5 m behind to 5 m ahead, 2 m to the left
    body = rigid(np.eye(3), (0, 2, 1.5))
    box, share = cuboid_box(body, (10, 0.001, 1), POSE, CAMERA, PICTURE) or ([], 0)
    # it comes into the picture where 100 · 2 / depth is 80: 2.5 m ahead, where half a metre is 20 px
    assert box == pytest.approx([0, 28, 40, 68], abs=0.1)
    assert 0 < share < 0.1


def test_a_cuboid_that_fills_the_picture_and_one_around_the_camera() -> None:
    box, share = cuboid_box(rigid(np.eye(3), (2, 0, 1.5)), (1, 50, 50), POSE, CAMERA, PICTURE) or ([], 0)
    assert box == pytest.approx([0, 0, 160, 96])
    assert 0 < share < 0.1
    box, _ = cuboid_box(rigid(np.eye(3), (0, 0, 1.5)), (4, 2, 2), POSE, CAMERA, PICTURE) or ([], 0)
    assert box == pytest.approx([0, 0, 160, 96])


def test_a_box_holds_what_is_seen_of_a_cuboid_and_no_more() -> None:
    generator = np.random.default_rng(1)
    signs = generator.uniform(-0.5, 0.5, (20_000, 3))
    found = 0
    for _ in range(40):
        place = generator.uniform((-2, -6, 0.5), (8, 6, 2.5))
        body = rigid(rotation(*generator.normal(size=4)), place)
        size = generator.uniform(1, 5, 3)
        seen = POSE[:3, :3].T @ (body[:3, :3] @ (signs * size).T + body[:3, 3:] - POSE[:3, 3:])
        seen = seen[:, seen[2] > 0.1]
        pixels = (CAMERA @ seen)[:2] / seen[2]
        pixels = pixels[:, ((pixels >= 0) & (pixels <= np.asarray(PICTURE)[:, None])).all(axis=0)]
        result = cuboid_box(body, size, POSE, CAMERA, PICTURE)
        if pixels.shape[1] < 2000:
            continue
        found += 1
        assert result is not None
        low, high = np.asarray(result[0][:2]), np.asarray(result[0][2:])
        assert (pixels.min(axis=1) >= low - 1e-6).all() and (pixels.max(axis=1) <= high + 1e-6).all()
        # points at random come near the edges, not to them
        assert (pixels.min(axis=1) - low < 12).all() and (high - pixels.max(axis=1) < 12).all()
    assert found > 5


def one_frame() -> tuple[Rows, tuple[int, int]]:
    rows = Rows()
    rows.frame(0)
    return rows, (4, 4)


def test_rows_are_made_anew_when_any_file_or_name_changes(tmp_path: Path) -> None:
    file, missing, folder = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "readings"
    folder.mkdir()
    for path in (file, folder / "0.txt"):
        path.write_text("x")

    def made(*names: str) -> str | None:
        return converted(tmp_path / "notes", "s", [missing, file, folder], one_frame, names)

    places = [made()]
    assert made() == places[0]
    changes = [(folder / "0.txt", 1), (file, 2), (folder / "1.txt", 3), (missing, 4)]
    for path, stamp in changes:
        path.write_text("y")
        os.utime(path, ns=(stamp, stamp))
        os.utime(folder, ns=(0, 0))
        places.append(made())
    places.append(made("0.png"))
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    "error", [KeyError("P2"), IndexError("0"), OverflowError("inf"), ValueError("x"), OSError(5, "x")]
)
def test_whatever_a_damaged_file_raises_its_name_is_said(tmp_path: Path, error: Exception) -> None:
    def make() -> tuple[Rows, tuple[int, int]]:
        raise error

    with pytest.raises(DataError, match="drive-7"):
        converted(tmp_path / "notes", "drive-7", [], make)


def test_files_that_say_nothing_leave_nothing(tmp_path: Path) -> None:
    assert converted(tmp_path / "notes", "s", [], lambda: None) is None
    assert not (tmp_path / "notes").exists()
