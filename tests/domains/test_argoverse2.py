"""An Argoverse 2 log written from a world."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
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

from drivereplay.domains.argoverse2 import read_argoverse2
from drivereplay.domains.conversion import FORWARD_LEFT_UP, identity_of, rigid
from drivereplay.errors import DataError, SpecError

MOUNT = rigid(FORWARD_LEFT_UP, (1.6, 0.0, 1.4))
START_NS = 315_966_253_572_412_000


def pose_columns(matrix: np.ndarray) -> dict[str, float]:
    values = [*quaternion(matrix[:3, :3]), *matrix[:3, 3]]
    return dict(zip(("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), map(float, values), strict=True))


def write_log(log: Path, truth: Drive) -> None:
    """Pictures at 10 Hz with cuboids at every second of them, 10 ms later, as lidar sweeps are."""
    stamps = [START_NS + round(t * 1e9) for t in truth.times_s]
    write_pictures(log / "sensors" / "cameras" / "ring_front_center", truth.frames, [f"{s}.jpg" for s in stamps])
    egos = truth.poses @ np.linalg.inv(MOUNT)
    poses = [{"timestamp_ns": s, **pose_columns(e)} for s, e in zip(stamps, egos, strict=True)]
    cuboids = []
    for n in range(0, FRAMES, 2):
        sweep = stamps[n] + 10_000_000
        poses.append({"timestamp_ns": sweep, **pose_columns(egos[n])})
        for row in truth.objects[n]:
            body = rigid(about_z(row["heading_rad"]), (row["x_m"], row["y_m"], row["z_m"]))
            size = {f"{side}_m": row[f"{side}_m"] for side in ("length", "width", "height")}
            cuboids.append(
                {"timestamp_ns": sweep, "track_uuid": f"uuid-{row['id']}", "category": "REGULAR_VEHICLE", **size,
                 **pose_columns(np.linalg.inv(egos[n]) @ body), "num_interior_pts": 9}
            )  # fmt: skip
    (log / "calibration").mkdir()
    camera = truth.camera
    sizes = {"height_px": HEIGHT, "width_px": WIDTH, "k1": 0.0, "k2": 0.0, "k3": 0.0}
    focal = {"fx_px": camera[0, 0], "fy_px": camera[1, 1], "cx_px": camera[0, 2], "cy_px": camera[1, 2]}
    for name, rows in {
        "annotations": cuboids,
        "city_SE3_egovehicle": poses,
        "calibration/intrinsics": [{"sensor_name": "ring_front_center", **focal, **sizes}],
        "calibration/egovehicle_SE3_sensor": [{"sensor_name": "ring_front_center", **pose_columns(MOUNT)}],
    }.items():
        feather.write_feather(pa.Table.from_pylist(rows), log / f"{name}.feather")


def test_exact_annotations_come_back(truth: Drive, tmp_path: Path) -> None:
    write_log(tmp_path / "av2" / "val" / "log-a", truth)
    (recording,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    assert (recording.key, recording.split) == ("val/log-a", "evaluation")
    assert recording.timestamps_s == pytest.approx(truth.times_s, abs=1e-6)
    found = read_back(recording)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-6)
    assert np.allclose(found.intrinsics_px, truth.camera)
    assert_same_things(found, truth.known, lambda n: identity_of(f"uuid-{n}"))
    assert np.isnan(found.boxes_px[1::2]).all() and np.isfinite(found.boxes_px[0::2]).any()


def test_missing_parts(truth: Drive, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no log"):
        read_argoverse2(str(tmp_path), None, tmp_path / "notes")
    log = tmp_path / "av2" / "train" / "log-b"
    write_log(log, truth)
    (log / "annotations.feather").unlink()
    (recording,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    assert recording.split == "train"
    assert not len(read_back(recording).ids)
    (log / "city_SE3_egovehicle.feather").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")


def test_only_files_named_after_a_moment_are_pictures(truth: Drive, tmp_path: Path) -> None:
    log = tmp_path / "av2" / "train" / "log-c"
    write_log(log, truth)
    pictures = log / "sensors" / "cameras" / "ring_front_center"
    for name in (f"._{START_NS}.jpg", "thumbnail.jpg"):
        (pictures / name).write_bytes(b"x")
    (recording,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    assert len(recording.images) == FRAMES
    assert recording.images[0] == f"{START_NS}.jpg"


def test_logs_without_labels_are_left_out_unless_asked_for(truth: Drive, tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_log(tmp_path / "av2" / part / f"log-{part}", truth)
    (recording,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    assert recording.key == "train/log-train"
    (recording,) = read_argoverse2(str(tmp_path / "av2" / "test"), None, tmp_path / "notes")
    assert (recording.key, recording.split) == ("log-test", None)


def test_a_calibration_that_changed_is_read_again(truth: Drive, tmp_path: Path) -> None:
    log = tmp_path / "av2" / "val" / "log-d"
    write_log(log, truth)
    (first,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    os.utime(log / "calibration" / "intrinsics.feather", ns=(0, 1))
    (second,) = read_argoverse2(str(tmp_path / "av2"), None, tmp_path / "notes")
    assert first.annotations != second.annotations
