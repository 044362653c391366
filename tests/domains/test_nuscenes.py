"""nuScenes tables written from a world."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.domains.miniature import (
    FRAMES,
    HEIGHT,
    WIDTH,
    Drive,
    about_z,
    assert_same_things,
    quaternion,
    read_back,
    relative,
    write_pictures,
)

from drivereplay.domains.conversion import FORWARD_LEFT_UP, identity_of, rigid
from drivereplay.domains.nuscenes import read_nuscenes, rows_of
from drivereplay.errors import DataError, SpecError

MOUNT = rigid(FORWARD_LEFT_UP, (1.7, 0.1, 1.5))
START_US = 1_532_402_927_612_460


def tables(truth: Drive) -> dict[str, list[dict[str, Any]]]:
    """One scene; every second picture is a key frame, the others are sweeps. World and city differ by a shift."""
    shift = np.array([400.0, 1100.0, 0.0])
    egos = truth.poses @ np.linalg.inv(MOUNT)
    names = [f"{'samples' if n % 2 == 0 else 'sweeps'}/CAM_FRONT/{n:04d}.jpg" for n in range(FRAMES)]
    stamp = [START_US + round(t * 1e6) for t in truth.times_s]
    ids = [int(n) for n in truth.known.ids]
    return {
        "scene": [{"token": "sc", "name": "scene-0061", "nbr_samples": FRAMES // 2}],
        "sample": [{"token": f"s{n}", "timestamp": stamp[n], "scene_token": "sc"} for n in range(0, FRAMES, 2)],
        "sensor": [
            {"token": "front", "channel": "CAM_FRONT", "modality": "camera"},
            {"token": "back", "channel": "CAM_BACK", "modality": "camera"},
        ],
        "calibrated_sensor": [
            {"token": "c", "sensor_token": "front", "translation": MOUNT[:3, 3].tolist(),
             "rotation": quaternion(MOUNT[:3, :3]), "camera_intrinsic": truth.camera.tolist()},
            {"token": "b", "sensor_token": "back", "translation": [0, 0, 0], "rotation": [1, 0, 0, 0],
             "camera_intrinsic": truth.camera.tolist()},
        ],
        "ego_pose": [
            {"token": f"e{n}", "timestamp": stamp[n], "rotation": quaternion(egos[n, :3, :3]),
             "translation": (egos[n, :3, 3] + shift).tolist()}
            for n in range(FRAMES)
        ],
        "sample_data": [
            {"token": f"d{n}", "calibrated_sensor_token": "c", "sample_token": f"s{n - n % 2}",
             "ego_pose_token": f"e{n}",
             "timestamp": stamp[n], "fileformat": "jpg", "is_key_frame": n % 2 == 0, "height": HEIGHT, "width": WIDTH,
             "filename": names[n], "prev": "", "next": ""}
            for n in reversed(range(FRAMES))
        ],
        "category": [{"token": "car", "name": "vehicle.car", "description": ""}],
        "instance": [{"token": f"i{n}", "category_token": "car"} for n in ids],
        "sample_annotation": [
            {"token": f"a{n}-{row['id']}", "sample_token": f"s{n}", "instance_token": f"i{row['id']}",
             "visibility_token": "4",
             "translation": (np.array([row["x_m"], row["y_m"], row["z_m"]]) + shift).tolist(),
             "size": [row["width_m"], row["length_m"], row["height_m"]],
             "rotation": quaternion(about_z(row["heading_rad"]))}
            for n in range(0, FRAMES, 2)
            for row in truth.objects[n]
        ],
    }  # fmt: skip


def write(root: Path, content: dict[str, list[dict[str, Any]]], truth: Drive, version: str = "mini") -> None:
    (root / f"v1.0-{version}").mkdir(parents=True)
    for name, rows in content.items():
        (root / f"v1.0-{version}" / f"{name}.json").write_text(json.dumps(rows, indent=0))
    names = sorted({row["filename"] for row in content["sample_data"]}, key=lambda name: name[-8:])
    write_pictures(root, truth.frames, names)


def test_exact_annotations_come_back(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "n", tables(truth), truth)
    (recording,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert recording.key == "scene-0061"
    assert recording.timestamps_s == pytest.approx(truth.times_s, abs=1e-6)
    assert recording.images[0] == "samples/CAM_FRONT/0000.jpg"
    found = read_back(recording)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-6)
    assert np.allclose(found.intrinsics_px, truth.camera)
    assert_same_things(found, truth.known, lambda n: identity_of(f"i{n}"))
    assert set(found.classes.tolist()) == {"vehicle.car"}
    # a projected cuboid holds the drawn thing, and is not much larger than it
    for n, name in enumerate(found.ids.tolist()):
        k = [identity_of(f"i{i}") for i in truth.known.ids.tolist()].index(name)
        for t in range(0, FRAMES, 2):
            ours, true = found.boxes_px[t, n], truth.known.boxes_px[t, k]
            if np.isfinite(ours).all() and np.isfinite(true).all():
                low, high = np.maximum(ours[:2], true[:2]), np.minimum(ours[2:], true[2:])
                shared = float(np.prod(np.maximum(high - low, 0)))
                assert shared >= 0.8 * float(np.prod(true[2:] - true[:2]))
    # sweeps between key frames say nothing about objects
    assert np.isnan(found.boxes_px[1::2]).all()


def test_dangling_tokens_leave_null(truth: Drive, tmp_path: Path) -> None:
    content = tables(truth)
    content["ego_pose"] = [row for row in content["ego_pose"] if row["token"] != "e4"]
    content["instance"] = content["instance"][1:]
    content["sample_data"].append({**content["sample_data"][0], "token": "lost", "sample_token": "nowhere"})
    write(tmp_path / "n", content, truth)
    (recording,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert len(recording.images) == FRAMES
    found = read_back(recording)
    assert np.isnan(found.poses[4]).all() and np.isfinite(found.poses[[3, 5]]).all()
    assert np.isnan(found.boxes_px[4]).all()
    assert identity_of(f"i{truth.known.ids[0]}") not in found.ids


def test_other_cameras_and_missing_tables(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "n", tables(truth), truth)
    with pytest.raises(SpecError, match="no picture of camera CAM_BACK"):
        read_nuscenes(str(tmp_path / "n"), "CAM_BACK", tmp_path / "notes")
    (tmp_path / "n" / "v1.0-mini" / "sample.json").unlink()
    with pytest.raises(SpecError, match="lacks the tables sample"):
        read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    with pytest.raises(SpecError, match="no nuScenes tables"):
        read_nuscenes(str(tmp_path), None, tmp_path / "notes")


def test_tables_are_read_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"token": f"t{n}", "text": 'a "quoted" ] , é', "nested": [{"x": n}]} for n in range(300)]
    (tmp_path / "t.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    for chunk in (7, 100, 1 << 20):
        monkeypatch.setattr("drivereplay.domains.nuscenes._CHUNK", chunk)
        assert list(rows_of(tmp_path / "t.json")) == rows
    (tmp_path / "half.json").write_text(json.dumps(rows)[:-40])
    with pytest.raises(DataError, match="middle of a row"):
        list(rows_of(tmp_path / "half.json"))
    (tmp_path / "object.json").write_text("{}")
    with pytest.raises(DataError, match="no table"):
        list(rows_of(tmp_path / "object.json"))


def test_of_several_versions_the_whole_one_is_read_or_the_one_named(truth: Drive, tmp_path: Path) -> None:
    root = tmp_path / "n"
    for version in ("mini", "test", "trainval"):
        content = tables(truth)
        content["scene"][0]["name"] = f"scene-of-{version}"
        write(root, content, truth, version)

    def read(path: Path) -> list[tuple[str, str]]:
        return [(r.key, r.path) for r in read_nuscenes(str(path), None, tmp_path / "notes")]

    assert read(root) == [("scene-of-trainval", str(root))]
    assert read(root / "v1.0-test") == [("scene-of-test", str(root))]
    (root / "v1.0-trainval" / "scene.json").unlink()
    with pytest.raises(SpecError, match=r"several nuScenes tables: v1\.0-mini, v1\.0-test"):
        read(root)


@pytest.mark.parametrize("table", ["ego_pose", "calibrated_sensor", "instance", "scene"])
def test_a_table_that_changed_is_read_again(truth: Drive, tmp_path: Path, table: str) -> None:
    write(tmp_path / "n", tables(truth), truth)
    (first,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    os.utime(tmp_path / "n" / "v1.0-mini" / f"{table}.json", ns=(0, 1))
    (second,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert first.annotations != second.annotations


def test_a_row_that_lacks_a_value_is_damage(truth: Drive, tmp_path: Path) -> None:
    content = tables(truth)
    del content["sample"][0]["token"]
    write(tmp_path / "n", content, truth)
    with pytest.raises(DataError, match=r"v1\.0-mini is damaged: KeyError"):
        read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")


def test_without_sweeps_the_key_frames_are_used(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "n", tables(truth), truth)
    (before,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert len(before.images) == FRAMES and not before.notes
    shutil.rmtree(tmp_path / "n" / "sweeps")
    (recording,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert recording.images == tuple(f"samples/CAM_FRONT/{n:04d}.jpg" for n in range(0, FRAMES, 2))
    assert recording.timestamps_s == pytest.approx(truth.times_s[::2], abs=1e-6)
    assert "no sweeps/" in recording.notes[0]
    # boxes and poses go with the images that are left
    found = read_back(recording)
    assert np.allclose(relative(found.poses[: FRAMES // 2]), relative(truth.poses[::2]), atol=1e-6)
    assert np.isfinite(found.boxes_px[: FRAMES // 2]).any(axis=(1, 2)).all()


def test_a_single_missing_sweep_is_left_to_the_index(truth: Drive, tmp_path: Path) -> None:
    write(tmp_path / "n", tables(truth), truth)
    (tmp_path / "n" / "sweeps" / "CAM_FRONT" / "0003.jpg").unlink()
    (recording,) = read_nuscenes(str(tmp_path / "n"), None, tmp_path / "notes")
    assert len(recording.images) == FRAMES and not recording.notes
