"""KITTI's three layouts, written from a world: the exact annotations come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.domains.miniature import (
    FRAMES,
    HEIGHT,
    WIDTH,
    Drive,
    assert_same_things,
    read_back,
    relative,
    write_pictures,
)

from drivereplay.data.images import probe_images
from drivereplay.domains.conversion import FORWARD_LEFT_UP, rigid
from drivereplay.domains.kitti import read_kitti
from drivereplay.errors import DataError, SpecError

BESIDE_M = 0.06
"""Camera 2 lies so far to the right of camera 0."""
EARTH_M = 6378137.0


def numbers(values: np.ndarray) -> str:
    return " ".join(f"{v:.12e}" for v in np.asarray(values).ravel())


def projection(truth: Drive) -> np.ndarray:
    """P2: camera 2 is at +BESIDE_M on camera 0's x axis."""
    return np.hstack([truth.camera, truth.camera @ [[-BESIDE_M], [0], [0]]])


def camera0(truth: Drive) -> np.ndarray:
    return truth.poses @ rigid(np.eye(3), (-BESIDE_M, 0, 0))


def oxts(truth: Drive, to_camera: np.ndarray) -> list[str]:
    """GPS/IMU readings of the vehicle, by the inverse of the Mercator projection at 49° north."""
    scale = np.cos(np.deg2rad(49.0))
    lines = []
    for pose in truth.poses @ to_camera:
        longitude = np.rad2deg(pose[0, 3] / (scale * EARTH_M)) + 8.4
        north = pose[1, 3] / (scale * EARTH_M) + np.log(np.tan(np.pi * (90 + 49.0) / 360))
        latitude = np.rad2deg(2 * np.arctan(np.exp(north)) - np.pi / 2)
        pitch = -np.arcsin(pose[2, 0])
        roll, yaw = np.arctan2(pose[2, 1], pose[2, 2]), np.arctan2(pose[1, 0], pose[0, 0])
        lines.append(
            f"{latitude:.15f} {longitude:.15f} {pose[2, 3]:.9f} {roll:.12f} {pitch:.12f} {yaw:.12f}" + " 0" * 24
        )
    return lines


VELO = rigid(np.eye(3), (-0.8, 0.3, 0.8))
CAM = rigid(FORWARD_LEFT_UP.T, (0.0, -0.1, -0.3))


def vehicle_to_camera2() -> np.ndarray:
    return rigid(np.eye(3), (-BESIDE_M, 0, 0)) @ CAM @ VELO


def tracks(truth: Drive) -> dict[int, dict[int, dict]]:
    """Rows of each object by frame, as long as it has one in every frame."""
    found: dict[int, dict[int, dict]] = {}
    for n, objects in enumerate(truth.objects):
        for row in objects:
            if row["x_m"] is not None:
                found.setdefault(row["id"], {})[n] = row
    return {name: rows for name, rows in found.items() if len(rows) == max(rows) - min(rows) + 1}


def tracklets(truth: Drive) -> str:
    """The objects as KITTI's tool writes them: places of the bottom's centre in the scanner's axes."""
    scanner = rigid(np.eye(3), (-BESIDE_M, 0, 0)) @ CAM
    items = []
    for rows in tracks(truth).values():
        states = []
        for n, row in rows.items():
            to_scanner = np.linalg.inv(truth.poses[n] @ scanner)
            place = to_scanner @ [row["x_m"], row["y_m"], row["z_m"], 1.0]
            ahead = to_scanner[:3, :3] @ [np.cos(row["heading_rad"]), np.sin(row["heading_rad"]), 0.0]
            values = {"tx": place[0], "ty": place[1], "tz": place[2] - row["height_m"] / 2, "rx": 0, "ry": 0}
            values |= {"rz": np.arctan2(ahead[1], ahead[0]), "occlusion": 0, "truncation": 0}
            states.append("<item>" + "".join(f"<{k}>{v:.12e}</{k}>" for k, v in values.items()) + "</item>")
        size = next(iter(rows.values()))
        items.append(
            f"<item><objectType>Car</objectType><h>{size['height_m']}</h><w>{size['width_m']}</w>"
            f"<l>{size['length_m']}</l><first_frame>{min(rows)}</first_frame><poses>{''.join(states)}</poses></item>"
        )
    return f"<boost_serialization><tracklets>{''.join(items)}</tracklets></boost_serialization>"


def write_odometry(root: Path, truth: Drive) -> None:
    sequence = root / "sequences" / "00"
    write_pictures(sequence / "image_2", truth.frames, [f"{n:06d}.png" for n in range(FRAMES)])
    (sequence / "times.txt").write_text("\n".join(f"{t:.6e}" for t in truth.times_s))
    (sequence / "calib.txt").write_text(f"P0: {numbers(projection(truth))}\nP2: {numbers(projection(truth))}\n")
    (root / "poses").mkdir()
    poses = relative(camera0(truth))
    (root / "poses" / "00.txt").write_text("\n".join(numbers(p[:3]) for p in poses))


def test_odometry(truth: Drive, tmp_path: Path) -> None:
    write_odometry(tmp_path / "k", truth)
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    assert len(recording.images) == FRAMES
    assert recording.timestamps_s == pytest.approx(truth.times_s)
    found = read_back(recording)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-6)
    assert np.allclose(found.intrinsics_px, truth.camera, atol=1e-4)
    # in the first camera's world x points forward and z up
    assert np.allclose(found.poses[0, :3, :3], FORWARD_LEFT_UP, atol=1e-6)
    assert not len(found.ids)


def test_odometry_without_poses_has_none(truth: Drive, tmp_path: Path) -> None:
    sequence = tmp_path / "k" / "sequences" / "11"
    write_pictures(sequence / "image_2", truth.frames, [f"{n:06d}.png" for n in range(FRAMES)])
    (sequence / "calib.txt").write_text(f"P2: {numbers(projection(truth))}\n")
    (recording,) = read_kitti(str(tmp_path / "k"), "image_02", tmp_path / "notes")
    found = read_back(recording)
    assert np.isnan(found.poses).all()
    assert np.isfinite(found.intrinsics_px).all()


def write_raw(root: Path, truth: Drive) -> Path:
    """Directory of the recording."""
    date = root / "2011_09_26"
    sync = date / "2011_09_26_drive_0001_sync"
    write_pictures(sync / "image_02" / "data", truth.frames, [f"{n:010d}.png" for n in range(FRAMES)])
    stamps = [f"2011-09-26 13:02:{25 + t:012.9f}" for t in truth.times_s]
    (sync / "image_02" / "timestamps.txt").write_text("\n".join(stamps) + "\n")
    (sync / "oxts" / "data").mkdir(parents=True)
    for n, line in enumerate(oxts(truth, vehicle_to_camera2())):
        (sync / "oxts" / "data" / f"{n:010d}.txt").write_text(line)
    lines = [
        "calib_time: 09-Jan-2012 13:57:47",
        f"R_rect_00: {numbers(np.eye(3))}",
        f"P_rect_02: {numbers(projection(truth))}",
    ]
    (date / "calib_cam_to_cam.txt").write_text("\n".join(lines))
    for name, matrix in (("imu_to_velo", VELO), ("velo_to_cam", CAM)):
        text = f"calib_time: 25-May-2012\nR: {numbers(matrix[:3, :3])}\nT: {numbers(matrix[:3, 3])}\n"
        (date / f"calib_{name}.txt").write_text(text)
    (sync / "tracklet_labels.xml").write_text(tracklets(truth))
    return sync


def test_raw(truth: Drive, tmp_path: Path) -> None:
    sync = write_raw(tmp_path / "k", truth)
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    assert recording.key == "2011_09_26/2011_09_26_drive_0001_sync"
    assert recording.timestamps_s == pytest.approx(truth.times_s, abs=1e-6)
    found = read_back(recording)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-3)
    order = list(tracks(truth))
    assert_same_things(found, truth.known, order.index)
    assert all(np.isfinite(found.boxes_px[:, n]).any() for n in range(len(found.ids)))
    (sync / "tracklet_labels.xml").write_text(tracklets(truth).replace("<h>", "<hh>"))
    with pytest.raises(DataError, match="no list of tracklets"):
        read_kitti(str(tmp_path / "k"), None, tmp_path / "other notes")


def test_raw_pictures_that_are_a_part_of_the_recording(truth: Drive, tmp_path: Path) -> None:
    sync = write_raw(tmp_path / "k", truth)
    (whole,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    expected = read_back(whole, range(4, FRAMES))
    data = sync / "image_02" / "data"
    for n in range(4):
        (data / f"{n:010d}.png").unlink()
    (data / "._0000000005.png").write_bytes(b"x")
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    assert recording.images == whole.images[4:]
    assert recording.timestamps_s == pytest.approx(truth.times_s[4:] - truth.times_s[4], abs=1e-6)
    found = read_back(recording, range(FRAMES - 4))
    assert np.allclose(relative(found.poses), relative(expected.poses), atol=1e-6)
    assert found.ids.tolist() == expected.ids.tolist()
    assert np.allclose(found.boxes_px, expected.boxes_px, atol=1e-3, equal_nan=True)


def test_what_a_raw_recording_lacks_is_null(truth: Drive, tmp_path: Path) -> None:
    sync = write_raw(tmp_path / "k", truth)
    (sync / "oxts" / "data" / "0000000003.txt").unlink()
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    poses = read_back(recording).poses
    assert np.flatnonzero(np.isnan(poses[:, 0, 0])).tolist() == [3]
    (sync.parent / "calib_cam_to_cam.txt").write_text(f"P_rect_00: {numbers(projection(truth))}\n")
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    found = read_back(recording)
    assert np.isnan(found.poses).all() and np.isnan(found.intrinsics_px).all() and not len(found.ids)


@pytest.mark.parametrize("stamp", ["broken", "2011-09-26 13:99:00", ""])
def test_a_stamp_that_is_none_sets_the_recording_aside(truth: Drive, tmp_path: Path, stamp: str) -> None:
    stamps = write_raw(tmp_path / "k", truth) / "image_02" / "timestamps.txt"
    lines = stamps.read_text().splitlines()
    stamps.write_text("\n".join([*lines[:5], stamp, *lines[6:]]))
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    with pytest.raises(DataError, match="12 images and 11 timestamps"):
        probe_images(recording)
    assert np.isfinite(read_back(recording).poses).all()


def write_tracking(root: Path, truth: Drive) -> None:
    write_pictures(root / "image_02" / "0000", truth.frames, [f"{n:06d}.png" for n in range(FRAMES)])
    lines = []
    for n, objects in enumerate(truth.objects):
        for row in objects:
            if row["x1_px"] is None:
                continue
            place = np.linalg.inv(camera0(truth)[n]) @ [row["x_m"], row["y_m"], row["z_m"], 1.0]
            ahead = truth.poses[n][:3, :3].T @ [np.cos(row["heading_rad"]), np.sin(row["heading_rad"]), 0.0]
            turn = np.arctan2(-ahead[2], ahead[0])
            box = " ".join(f"{row[c]:.6f}" for c in ("x1_px", "y1_px", "x2_px", "y2_px"))
            size = f"{row['height_m']:.6f} {row['width_m']:.6f} {row['length_m']:.6f}"
            where = f"{place[0]:.6f} {place[1] + row['height_m'] / 2:.6f} {place[2]:.6f}"
            lines.append(f"{n} {row['id']} Car 0 0 0.0 {box} {size} {where} {turn:.9f}")
    lines.append("0 -1 DontCare -1 -1 -10 1 1 5 5 -1 -1 -1 -1000 -1000 -1000 -10")
    (root / "label_02").mkdir()
    (root / "label_02" / "0000.txt").write_text("\n".join(lines))
    (root / "oxts").mkdir()
    (root / "oxts" / "0000.txt").write_text("\n".join(oxts(truth, vehicle_to_camera2())))
    (root / "calib").mkdir()
    rows = {"P2:": projection(truth), "R_rect": np.eye(3), "Tr_velo_cam": CAM[:3], "Tr_imu_velo": VELO[:3]}
    text = "\n".join(f"{key} {numbers(matrix)}" for key, matrix in rows.items())
    (root / "calib" / "0000.txt").write_text(text)


def test_tracking(truth: Drive, tmp_path: Path) -> None:
    write_tracking(tmp_path / "k" / "training", truth)
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    found = read_back(recording)
    assert found.ids.tolist() == truth.known.ids.tolist()
    assert np.allclose(found.boxes_px, truth.known.boxes_px, atol=1e-3, equal_nan=True)
    assert np.allclose(relative(found.poses), relative(truth.poses), atol=1e-3)
    assert set(found.classes.tolist()) == {"car"}
    # the camera of a car on a road hardly rolls or pitches, which is all that a heading about one axis can say
    assert_same_things(found, truth.known, int)


@pytest.mark.parametrize("layout", ["tracking", "odometry"])
def test_pictures_that_do_not_begin_at_0_get_what_has_their_numbers(truth: Drive, tmp_path: Path, layout: str) -> None:
    if layout == "tracking":
        write_tracking(tmp_path / "k" / "training", truth)
        pictures = tmp_path / "k" / "training" / "image_02" / "0000"
    else:
        write_odometry(tmp_path / "k", truth)
        pictures = tmp_path / "k" / "sequences" / "00" / "image_2"
    (whole,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    expected = read_back(whole, range(4, FRAMES))
    for n in range(4):
        (pictures / f"{n:06d}.png").unlink()
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    assert recording.images == whole.images[4:]
    if layout == "odometry":
        assert recording.timestamps_s == pytest.approx(truth.times_s[4:] - truth.times_s[4])
    found = read_back(recording, range(FRAMES - 4))
    assert np.allclose(relative(found.poses), relative(expected.poses), atol=1e-6)
    assert found.ids.tolist() == expected.ids.tolist()
    assert np.allclose(found.boxes_px, expected.boxes_px, atol=1e-3, equal_nan=True)


def test_boxes_are_those_of_one_camera_only(truth: Drive, tmp_path: Path) -> None:
    root = tmp_path / "k" / "training"
    write_tracking(root, truth)
    (root / "image_02").rename(root / "image_03")
    calibration = root / "calib" / "0000.txt"
    calibration.write_text(calibration.read_text().replace("P2:", "P3:"))
    (recording,) = read_kitti(str(tmp_path / "k"), "image_03", tmp_path / "notes")
    assert recording.annotations is not None
    objects = pq.read_table(f"{recording.annotations}/objects.parquet")
    assert objects.num_rows and not objects["x_m"].null_count
    assert all(objects[name].null_count == objects.num_rows for name in ("x1_px", "y2_px", "visible"))


def test_labels_without_calibration_leave_places_null(truth: Drive, tmp_path: Path) -> None:
    root = tmp_path / "k" / "training"
    write_pictures(root / "image_02" / "0001", truth.frames, [f"{n:06d}.png" for n in range(FRAMES)])
    (root / "label_02").mkdir()
    (root / "label_02" / "0001.txt").write_text("2 7 Cyclist 0 1 0.0 10 20 30 40 1.7 0.6 1.8 1.0 1.5 10.0 0.1")
    (recording,) = read_kitti(str(tmp_path / "k"), None, tmp_path / "notes")
    found = read_back(recording)
    assert found.boxes_px[2, 0].tolist() == [10, 20, 30, 40]
    assert np.isnan(found.positions_m).all() and np.isnan(found.poses).all() and np.isnan(found.intrinsics_px).all()
    assert found.sizes_m[0] == pytest.approx([1.8, 0.6, 1.7])


def test_what_is_not_kitti(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="none of KITTI's layouts"):
        read_kitti(str(tmp_path), None, tmp_path / "notes")
    write_pictures(
        tmp_path / "training" / "image_02" / "0000", np.zeros((2, HEIGHT, WIDTH, 3), np.uint8), ["0.png", "1.png"]
    )
    (tmp_path / "training" / "label_02").mkdir()
    (tmp_path / "training" / "label_02" / "0000.txt").write_text("0 1 Car nonsense")
    with pytest.raises(DataError, match="no tracking label"):
        read_kitti(str(tmp_path), None, tmp_path / "notes")
