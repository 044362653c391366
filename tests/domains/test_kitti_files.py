"""KITTI's small files: what they say, and what is made of one that says something else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from drivereplay.domains.kitti_files import (
    Pictures,
    beside,
    calibration,
    lines_of,
    matrix,
    reading,
    rigid_of,
    times_of,
)
from drivereplay.errors import DataError


def pictures(directory: Path, *names: str) -> Pictures:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(b"x")
    return Pictures.of(directory)


def test_pictures_are_numbered_by_their_names(tmp_path: Path) -> None:
    found = pictures(tmp_path / "a", "000007.png", "000005.png", "000006.png", "._000005.png", "notes.txt")
    assert found.names == ("000005.png", "000006.png", "000007.png")
    assert found.places == {5: 0, 6: 1, 7: 2}
    named = pictures(tmp_path / "b", "p10.jpg", "p9.jpg")
    assert (named.names, named.numbers) == (("p9.jpg", "p10.jpg"), (0, 1))


def test_a_line_belongs_to_the_picture_of_its_number(tmp_path: Path) -> None:
    found = pictures(tmp_path / "a", "5.png", "6.png", "8.png")
    assert found.each([f"line {n}" for n in range(8)]) == ["line 5", "line 6", None]
    # a file that was cut like the pictures
    assert found.each(["x", "y", "z"]) == ["x", "y", "z"]


def test_a_directory_of_pictures_needs_one_that_can_be_decoded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no pictures"):
        pictures(tmp_path / "empty")
    with pytest.raises(DataError, match=r"0\.png cannot be decoded"):
        pictures(tmp_path / "a", "0.png").size()
    cv2.imwrite(str(tmp_path / "a" / "0.png"), np.zeros((4, 6, 3), np.uint8))
    assert Pictures.of(tmp_path / "a").size() == (6, 4)


def test_a_calibration_says_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "calib.txt"
    file.write_text("calib_time: 09-Jan-2012 13:57:47\nP2: 1 0 0 0 0 1 0 0 0 0 1 0\nR_rect 1 0 0\n\n")
    known = calibration(file)
    projection = matrix(known, "P2", (3, 4), file)
    assert projection is not None and np.array_equal(projection, np.eye(4)[:3])
    assert matrix(known, "P3", (3, 4), file) is None
    with pytest.raises(DataError, match=r"calib\.txt: R_rect has 3 numbers instead of 9"):
        matrix(known, "R_rect", (3, 3), file)
    assert calibration(tmp_path / "missing.txt") == {}
    assert rigid_of(tmp_path / "missing.txt") is None


def test_a_camera_beside_the_first_one(tmp_path: Path) -> None:
    camera = np.array([[100.0, 0, 40], [0, 100, 20], [0, 0, 1]])
    moved = beside(np.hstack([camera, camera @ [[-0.5], [0], [0]]]), tmp_path)
    assert moved is not None and moved[:3, 3] == pytest.approx([-0.5, 0, 0])
    assert beside(None, tmp_path) is None
    with pytest.raises(DataError, match="cannot be inverted"):
        beside(np.zeros((3, 4)), tmp_path)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["3.0", "3.5", "4.5"], [0.0, 0.5, 1.5]),
        (["2011-12-31 23:59:59.900000000", "2012-01-01 00:00:00.000000000", "2012-01-01 00:00:00.100000000"],
         [0.0, 0.1, 0.2]),
        (["3.0", "broken", "4.5"], [0.0, None, 1.5]),
        (["2011-09-26 13:02:25.9", "2011-09-26 13:99", "nan"], [0.0, None, None]),
        ([], [None, None, None]),
    ],
)  # fmt: skip
def test_times_of_pictures(tmp_path: Path, lines: list[str], expected: list[float | None]) -> None:
    found = pictures(tmp_path / "a", "0.png", "1.png", "2.png")
    (tmp_path / "times.txt").write_text("\n".join(lines))
    times = times_of(tmp_path / "times.txt", found)
    assert [time is None for time in times] == [time is None for time in expected]
    assert [t for t in times if t is not None] == pytest.approx([t for t in expected if t is not None], abs=1e-6)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert lines_of(file) == []
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.txt cannot be read"):
        lines_of(file)
    assert reading("1 2.5", file, 2).tolist() == [1, 2.5]
    with pytest.raises(DataError, match="a line has 2 numbers, it needs 6"):
        reading("1 2", file, 6)
    with pytest.raises(DataError, match=r"a\.txt: could not convert"):
        reading("1 two", file, 2)
