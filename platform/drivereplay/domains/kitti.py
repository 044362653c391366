"""KITTI: raw recordings, the odometry benchmark, the tracking benchmark.

A. Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013; poses from GPS/IMU as in its development kit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import FORWARD_LEFT_UP, Rows, converted, rigid
from drivereplay.domains.kitti_tracklets import VISIBLE, add_tracklets
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError, SpecError

_EARTH_RADIUS_M = 6378137.0
_FPS = 10.0


def read_kitti(path: str, camera: str | None, out: Path) -> list[Recording]:
    """The recordings of a KITTI directory; which of the three layouts it has is seen from its folders.

    Args:
        path: Directory with `sequences/` (odometry), `training/` (tracking) or dates such as `2011_09_26/` (raw).
        camera: `image_02` (default), `image_03`, … ; the odometry benchmark's `image_2` is meant by `image_02`.
        out: Where annotations are put.

    Raises:
        SpecError: It has none of the layouts.
        DataError: A file that belongs to it cannot be read.
    """
    root = Path(path).expanduser()
    number = (camera or "image_02").removeprefix("image_").zfill(2)
    if (root / "sequences").is_dir():
        return list(_odometry(root, number, out))
    if (root / "training" / f"image_{number}").is_dir():
        return list(_tracking(root / "training", number, out))
    drives = sorted(p.parent for p in root.glob(f"*/*/image_{number}/data") if p.is_dir())
    if drives:
        return [_raw(root, p.parent, number, out) for p in drives]
    raise SpecError(
        f"{path} has none of KITTI's layouts with a camera {number}.", "See docs/data.md for the three layouts."
    )


def _raw(root: Path, drive: Path, number: str, out: Path) -> Recording:
    pictures = drive / f"image_{number}" / "data"
    names = _images(pictures)
    stamps = drive / f"image_{number}" / "timestamps.txt"
    times = _raw_times(stamps) if stamps.is_file() else ()
    calibration = drive.parent / "calib_cam_to_cam.txt"
    tracklets = drive / "tracklet_labels.xml"

    def make() -> tuple[Rows, tuple[int, int]]:
        known = _numbers(calibration)
        projection = known[f"P_rect_{number}"].reshape(3, 4)
        to_camera = _raw_camera_of_imu(drive.parent, known, projection)
        files = [drive / "oxts" / "data" / f"{Path(name).stem}.txt" for name in names]
        readings = [_reading(file.read_text(encoding="utf-8"), file) if file.is_file() else None for file in files]
        poses = _imu_poses(readings)
        rows = Rows()
        placed = [None if p is None or to_camera is None else p @ np.linalg.inv(to_camera) for p in poses]
        for n, pose in enumerate(placed):
            rows.frame(n, time_s=times[n] if times else n / _FPS, camera=projection[:, :3], pose=pose)
        picture = _picture_size(pictures / names[0])
        scanner = _raw_camera_of_velo(drive.parent, known, projection)
        if tracklets.is_file() and scanner is not None:
            add_tracklets(tracklets, rows, poses=placed, to_camera=scanner, camera=projection[:, :3], picture=picture)
        return rows, picture

    annotations = None
    if calibration.is_file():
        stamped = [calibration, drive / "oxts" / "data", tracklets]
        annotations = converted(out, f"{drive}-{number}", stamped, make)
    key = drive.relative_to(root).as_posix()
    return Recording(key, str(pictures), tuple(names), _FPS, times, annotations=annotations)


def _odometry(root: Path, number: str, out: Path) -> Iterator[Recording]:
    for sequence in sorted(p for p in (root / "sequences").iterdir() if p.is_dir()):
        pictures = sequence / f"image_{int(number)}"
        if not pictures.is_dir():
            continue
        names = _images(pictures)
        times_file = sequence / "times.txt"
        times = tuple(np.loadtxt(times_file, ndmin=1).tolist()) if times_file.is_file() else ()
        truth = root / "poses" / f"{sequence.name}.txt"
        make = partial(_odometry_rows, sequence, pictures, names, times, truth, number)
        stamped = [sequence / "calib.txt", truth]
        annotations = converted(out, f"{sequence}-{number}", stamped, make) if stamped[0].is_file() else None
        yield Recording(sequence.name, str(pictures), tuple(names), _FPS, times, annotations=annotations)


def _odometry_rows(
    sequence: Path, pictures: Path, names: list[str], times: tuple[float, ...], truth: Path, number: str
) -> tuple[Rows, tuple[int, int]]:
    projection = _numbers(sequence / "calib.txt")[f"P{int(number)}"].reshape(3, 4)
    # poses are those of camera 0; ours is beside it by K⁻¹ times the projection's last column
    beside = rigid(np.eye(3), np.linalg.solve(projection[:, :3], projection[:, 3]))
    given = np.loadtxt(truth, ndmin=2).reshape(-1, 3, 4) if truth.is_file() else np.zeros((0, 3, 4))
    rows = Rows()
    for n in range(len(names)):
        pose = None
        if n < len(given):
            # their world is the first camera's frame; in ours z points up
            pose = rigid(FORWARD_LEFT_UP, (0, 0, 0)) @ np.vstack([given[n], (0, 0, 0, 1)]) @ np.linalg.inv(beside)
        rows.frame(n, time_s=times[n] if times else n / _FPS, camera=projection[:, :3], pose=pose)
    return rows, _picture_size(pictures / names[0])


def _tracking(root: Path, number: str, out: Path) -> Iterator[Recording]:
    for pictures in sorted(p for p in (root / f"image_{number}").iterdir() if p.is_dir()):
        names = _images(pictures)
        label = root / "label_02" / f"{pictures.name}.txt"
        calibration = root / "calib" / f"{pictures.name}.txt"
        oxts = root / "oxts" / f"{pictures.name}.txt"
        make = partial(_tracking_rows, pictures, names, label, calibration, oxts, number)
        stamped = [label, calibration, oxts]
        known = label.is_file() or calibration.is_file()
        annotations = converted(out, f"{pictures}-{number}", stamped, make) if known else None
        yield Recording(pictures.name, str(pictures), tuple(names), _FPS, annotations=annotations)


def _tracking_rows(
    pictures: Path, names: list[str], label: Path, calibration: Path, oxts: Path, number: str
) -> tuple[Rows, tuple[int, int]]:
    known = _numbers(calibration) if calibration.is_file() else {}
    projection = known[f"P{int(number)}"].reshape(3, 4) if f"P{int(number)}" in known else None
    poses: list[NDArray[np.float64] | None] = [None] * len(names)
    beside = rigid(np.eye(3), np.linalg.solve(projection[:, :3], projection[:, 3])) if projection is not None else None
    imu = {key.replace("Tr_", "").replace("_", ""): value for key, value in known.items() if key.startswith("Tr")}
    if oxts.is_file() and beside is not None and {"imuvelo", "velocam"} <= set(imu):
        lines = oxts.read_text(encoding="utf-8").splitlines()[: len(names)]
        rectify = rigid(known.get("R_rect", known.get("R0_rect", np.eye(3).ravel())).reshape(3, 3), (0, 0, 0))
        velo, cam = (np.vstack([imu[k].reshape(3, 4), (0, 0, 0, 1)]) for k in ("imuvelo", "velocam"))
        to_camera = beside @ rectify @ cam @ velo
        for n, pose in enumerate(_imu_poses([_reading(line, oxts) for line in lines])):
            poses[n] = None if pose is None else pose @ np.linalg.inv(to_camera)
    rows = Rows()
    for n, pose in enumerate(poses):
        rows.frame(n, time_s=n / _FPS, camera=None if projection is None else projection[:, :3], pose=pose)
    if label.is_file():
        for line in label.read_text(encoding="utf-8").splitlines():
            _tracked(line.split(), label, poses, beside, rows)
    return rows, _picture_size(pictures / names[0])


def _tracked(
    fields: list[str],
    file: Path,
    poses: list[NDArray[np.float64] | None],
    beside: NDArray[np.float64] | None,
    rows: Rows,
) -> None:
    """One line: frame id type truncated occluded alpha x1 y1 x2 y2 height width length x y z rotation_y."""
    if not fields or fields[2] == "DontCare":
        return
    try:
        frame, identity = int(fields[0]), int(fields[1])
        truncated, occluded = float(fields[3]), int(float(fields[4]))
        box = [float(value) for value in fields[6:10]]
        height, width, length, x, y, z, turn = (float(value) for value in fields[10:17])
    except (ValueError, IndexError) as error:
        raise DataError(f"{file}: a line is no tracking label: {' '.join(fields)[:60]} ({error}).") from error
    if frame >= len(poses):
        return
    pose = poses[frame]
    position = heading = None
    if pose is not None and beside is not None and x > -1000:
        # the place given is the bottom's centre in the frame of rectified camera 0
        world = pose @ beside @ np.asarray([x, y - height / 2, z, 1.0])
        position = world[:3]
        forward = pose[:3, :3] @ np.asarray([np.cos(turn), 0.0, -np.sin(turn)])
        heading = float(np.arctan2(forward[1], forward[0]))
    visible = VISIBLE.get(occluded)
    rows.object(
        frame,
        identity,
        fields[2].lower(),
        box=box,
        visible=None if visible is None else visible * (1 - max(truncated, 0.0) if truncated <= 1 else 1.0),
        position=position,
        size=(length, width, height) if length > 0 else None,
        heading=heading,
    )


def _raw_camera_of_imu(
    date: Path, known: dict[str, NDArray[np.float64]], projection: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """(4, 4) from GPS/IMU to the camera, or None where a calibration file is missing."""
    file = date / "calib_imu_to_velo.txt"
    scanner = _raw_camera_of_velo(date, known, projection)
    if scanner is None or not file.is_file():
        return None
    return scanner @ _rigid_of(file)


def _raw_camera_of_velo(
    date: Path, known: dict[str, NDArray[np.float64]], projection: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """(4, 4) from the laser scanner to the camera, or None where the calibration file is missing."""
    file = date / "calib_velo_to_cam.txt"
    if not file.is_file():
        return None
    rectify = rigid(known["R_rect_00"].reshape(3, 3), (0, 0, 0))
    beside = rigid(np.eye(3), np.linalg.solve(projection[:, :3], projection[:, 3]))
    return beside @ rectify @ _rigid_of(file)


def _rigid_of(file: Path) -> NDArray[np.float64]:
    values = _numbers(file)
    return rigid(values["R"].reshape(3, 3), values["T"])


def _imu_poses(readings: list[NDArray[np.float64] | None]) -> list[NDArray[np.float64] | None]:
    """(4, 4) GPS/IMU to world (east, north, up; origin at the first reading), by the Mercator projection."""
    poses: list[NDArray[np.float64] | None] = []
    origin: NDArray[np.float64] | None = None
    scale = 1.0
    for reading in readings:
        if reading is None:
            poses.append(None)
            continue
        latitude, longitude, altitude, roll, pitch, heading = reading[:6]
        if origin is None:
            scale = float(np.cos(np.deg2rad(latitude)))
        east = scale * _EARTH_RADIUS_M * np.deg2rad(longitude)
        north = scale * _EARTH_RADIUS_M * np.log(np.tan(np.pi * (90 + latitude) / 360))
        place = np.asarray([east, north, altitude])
        origin = place if origin is None else origin
        poses.append(rigid(_turn(2, heading) @ _turn(1, pitch) @ _turn(0, roll), place - origin))
    return poses


def _turn(axis: int, angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix


def _reading(line: str, file: Path) -> NDArray[np.float64]:
    try:
        values = np.asarray([float(value) for value in line.split()])
    except ValueError as error:
        raise DataError(f"{file}: {error}.", "It holds GPS/IMU readings.") from error
    if len(values) < 6:
        raise DataError(f"{file} has {len(values)} numbers where a GPS/IMU reading has 30.")
    return values


def _numbers(file: Path) -> dict[str, NDArray[np.float64]]:
    """`key: numbers` lines of a calibration file; lines of other things are left out."""
    found = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    for line in lines:
        key, _, values = line.replace(":", " ").partition(" ")
        try:
            found[key] = np.asarray([float(value) for value in values.split()])
        except ValueError:
            continue  # such as the date of the calibration
    return found


def _raw_times(file: Path) -> tuple[float, ...]:
    lines = file.read_text(encoding="utf-8").split("\n")
    moments = [np.datetime64(datetime.fromisoformat(line[:26]), "us") for line in lines if line.strip()]
    return tuple(float((moment - moments[0]) / np.timedelta64(1, "s")) for moment in moments)


def _images(directory: Path) -> list[str]:
    names = sorted(p.name for p in directory.iterdir() if p.suffix.lower() in (".png", ".jpg"))
    if not names:
        raise DataError(f"{directory} has no pictures.", "Unpack the sequence's pictures.")
    return names


def _picture_size(path: Path) -> tuple[int, int]:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DataError(f"{path} cannot be decoded.")
    return picture.shape[1], picture.shape[0]
