"""The annotation files: written, read back, and moved with the clip's resize rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.domains.annotations import annotation_directory, read_clip, write_annotations
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec


def write_two(directory: Path, **changes: Any) -> None:
    """Three frames of 100×60 pixels; object 7 in all of them, object 3 in the last two."""
    frames: dict[str, Any] = {"frame": [0, 1, 2], "time_s": [0.0, 0.1, 0.2]}
    for name, value in (("fx_px", 80.0), ("fy_px", 81.0), ("cx_px", 50.0), ("cy_px", 30.0)):
        frames[name] = [value] * 3
    pose = np.hstack([np.eye(3), [[1.0], [2.0], [3.0]]])
    frames |= {f"pose_{r}{c}": [pose[r, c]] * 3 for r in range(3) for c in range(4)}
    objects: dict[str, Any] = {
        "frame": [0, 1, 2, 1, 2],
        "id": [7, 7, 7, 3, 3],
        "class": ["car", "car", "car", "", ""],
        "x1_px": [10.0, 12.0, 14.0, 90.0, np.nan],
        "y1_px": [20.0, 20.0, 20.0, 0.0, np.nan],
        "x2_px": [30.0, 32.0, 34.0, 100.0, np.nan],
        "y2_px": [40.0, 40.0, 40.0, 60.0, np.nan],
        "visible": [1.0, 0.5, 0.25, 1.0, 0.0],
        "x_m": [5.0, 6.0, 7.0, 1.0, 2.0],
        "y_m": [0.0] * 5,
        "z_m": [0.7] * 5,
        "length_m": [4.0, 4.0, 4.0, None, None],
    }
    write_annotations(directory, frames=frames, objects=objects | changes, size=(100, 60))


def spec(height: int, width: int, resize: str = "crop") -> ClipSpec:
    return ClipSpec(frames=3, context=1, height=height, width=width, resize=resize)  # type: ignore[arg-type]


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    write_two(tmp_path / "a.annotations")
    found = read_clip(str(tmp_path / "a.annotations"), [0, 1, 2], (100, 60), spec(60, 100))
    assert found.ids.tolist() == [3, 7]
    assert found.classes.tolist() == ["", "car"]
    np.testing.assert_allclose(found.boxes_px[:, 1, 0], [10, 12, 14])
    np.testing.assert_allclose(found.visible, [[0, 1.0], [1.0, 0.5], [0, 0.25]])
    assert np.isnan(found.boxes_px[[0, 2], 0]).all()
    np.testing.assert_allclose(found.positions_m[:, 1, 0], [5, 6, 7])
    assert np.isnan(found.positions_m[0, 0]).all()
    assert found.positions_m[2, 0, 0] == 2.0
    np.testing.assert_allclose(found.sizes_m[1], [4, np.nan, np.nan])
    assert np.isnan(found.headings_rad).all()
    np.testing.assert_allclose(found.intrinsics_px[1], [[80, 0, 50], [0, 81, 30], [0, 0, 1]])
    np.testing.assert_allclose(found.poses[2, :3, 3], [1, 2, 3])


def test_unknown_columns_are_null_and_never_zero(tmp_path: Path) -> None:
    directory = tmp_path / "a.annotations"
    write_annotations(directory, frames={"frame": [0]}, objects={"frame": [0], "id": [1]}, size=(10, 10))
    assert pq.read_table(directory / "objects.parquet")["visible"].null_count == 1
    found = read_clip(str(directory), [0], (10, 10), spec(8, 8))
    # nothing says that object 1 is in the picture
    assert found.ids.size == 0
    assert np.isnan(found.poses).all()
    assert np.isnan(found.intrinsics_px).all()


def test_a_box_without_a_visible_share_has_an_unknown_one(tmp_path: Path) -> None:
    box = {"x1_px": [1.0], "y1_px": [1.0], "x2_px": [5.0], "y2_px": [5.0]}
    write_annotations(tmp_path, frames={"frame": [0]}, objects={"frame": [0], "id": [1], **box}, size=(10, 10))
    assert np.isnan(read_clip(str(tmp_path), [0], (10, 10), spec(10, 10)).visible).all()


def test_frames_that_the_file_does_not_know_are_unknown_and_repeated_frames_are_repeated(tmp_path: Path) -> None:
    write_two(tmp_path)
    found = read_clip(str(tmp_path), [1, 1, 9], (100, 60), spec(60, 100))
    np.testing.assert_array_equal(found.boxes_px[0], found.boxes_px[1])
    assert np.isnan(found.boxes_px[2]).all()
    assert np.isnan(found.poses[2]).all()
    assert (found.visible[2] == 0).all()


def test_crop_cuts_the_sides_and_scales_the_camera(tmp_path: Path) -> None:
    write_two(tmp_path)
    # 100×60 to 30×30: scale by a half, then 10 pixels are cut on each side
    found = read_clip(str(tmp_path), [0, 1, 2], (100, 60), spec(30, 30))
    assert found.ids.tolist() == [7]
    np.testing.assert_allclose(found.boxes_px[0, 0], [0, 10, 5, 20])
    # half of the box is cut away, and with it half of what was seen
    np.testing.assert_allclose(found.visible[:, 0], [0.5, 0.3, 0.175], atol=1e-6)
    np.testing.assert_allclose(found.intrinsics_px[0], [[40, 0, 15], [0, 40.5, 15], [0, 0, 1]])


def test_stretch_scales_both_axes_by_themselves(tmp_path: Path) -> None:
    write_two(tmp_path)
    found = read_clip(str(tmp_path), [0], (100, 60), spec(30, 200, "stretch"))
    np.testing.assert_allclose(found.boxes_px[0, 0], [20, 10, 60, 20])
    np.testing.assert_allclose(found.intrinsics_px[0], [[160, 0, 100], [0, 40.5, 15], [0, 0, 1]])


@settings(max_examples=25, deadline=None)
@given(height=st.integers(8, 200), width=st.integers(8, 200), resize=st.sampled_from(["crop", "stretch"]))
def test_a_projected_point_moves_as_the_picture_does(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, resize: str
) -> None:
    """A 3-D point projected by the new intrinsics is where resizing the picture takes its pixel."""
    directory = tmp_path_factory.mktemp("annotations")
    write_two(directory)
    found = read_clip(str(directory), [0], (100, 60), spec(height, width, resize))
    point = np.array([0.3, -0.2, 2.0])
    before = np.array([80.0, 81.0]) * point[:2] / point[2] + (50, 30)
    pixel = found.intrinsics_px[0] @ point
    scale = np.array([width / 100, height / 60])
    if resize == "crop":
        scale = np.repeat(scale.max(), 2)
    middle = np.array([width, height]) / 2
    np.testing.assert_allclose(pixel[:2] / pixel[2], (before - (50, 30)) * scale + middle, atol=1e-9)


def test_equal_columns_give_equal_bytes(tmp_path: Path) -> None:
    write_two(tmp_path / "a")
    write_two(tmp_path / "b")
    for name in ("frames.parquet", "objects.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"colour": ["red"] * 5}, "unknown"),
        ({"visible": [1.0]}, "length"),
        ({"id": [7, 7, 7, 7, 3]}, "twice"),
    ],
)
def test_wrong_columns_are_refused(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(DataError, match=word):
        write_two(tmp_path / "a", **changes)
    assert not (tmp_path / "a").exists()


def test_an_object_needs_its_identity(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="missing"):
        write_annotations(tmp_path, frames={"frame": [0]}, objects={"frame": [0]}, size=(8, 8))


def test_missing_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"frames\.parquet is not there"):
        read_clip(str(tmp_path / "none"), [0], (100, 60), spec(60, 100))
    write_two(tmp_path)
    path = tmp_path / "objects.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"objects\.parquet cannot be read"):
        read_clip(str(tmp_path), [0], (100, 60), spec(60, 100))
    pq.write_table(pa.table({"frame": [0]}), path)
    with pytest.raises(DataError, match="no column id"):
        read_clip(str(tmp_path), [0], (100, 60), spec(60, 100))
    pq.write_table(pa.table({"frame": [0], "id": [1], "visible": ["much"]}), path)
    with pytest.raises(DataError, match="wrong type"):
        read_clip(str(tmp_path), [0], (100, 60), spec(60, 100))
    pq.write_table(pa.table({"frame": [0], "id": [1]}).replace_schema_metadata({"drivereplay.version": "99"}), path)
    with pytest.raises(DataError, match="version 99"):
        read_clip(str(tmp_path), [0], (100, 60), spec(60, 100))


def test_a_file_of_others_without_our_metadata_is_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"frame": [0]}), tmp_path / "frames.parquet")
    columns = {"frame": [0], "id": [4], "x1_px": [1], "y1_px": [2], "x2_px": [5], "y2_px": [6]}
    pq.write_table(pa.table(columns), tmp_path / "objects.parquet")
    found = read_clip(str(tmp_path), [0], (10, 10), spec(20, 20))
    np.testing.assert_allclose(found.boxes_px[0, 0], [2, 4, 10, 12])


def test_the_directory_stands_beside_the_video() -> None:
    assert annotation_directory("/a/b.c/d.mp4") == Path("/a/b.c/d.annotations")
