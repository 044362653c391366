"""KITTI: raw recordings, the odometry benchmark, the tracking benchmark.

A. Geiger et al., "Vision meets robotics: the KITTI dataset", IJRR 2013; poses from GPS/IMU as in its development kit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import FORWARD_LEFT_UP, Made, Rows, converted, rigid
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
from drivereplay.domains.kitti_tracklets import VISIBLE, add_tracklets
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError, SpecError

Matrix = NDArray[np.float64]

_EARTH_RADIUS_M = 6378137.0
_FPS = 10.0
_LABELLED = "02"
"""The camera that the tracking benchmark's 2-D boxes are drawn for."""


def read_kitti(path: str, camera: str | None, out: Path) -> list[Recording]:
    """The recordings of a KITTI directory; which of the three layouts it has is seen from its folders.

    Labels, poses and times belong to the picture of their number. Where a picture has no time although others have one,
    the recording has fewer times than pictures, and the index sets it aside.

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
    pictures = Pictures.of(drive / f"image_{number}" / "data")
    stamps = drive / f"image_{number}" / "timestamps.txt"
    times = times_of(stamps, pictures)
    cameras = drive.parent / "calib_cam_to_cam.txt"
    mounts = [drive.parent / f"calib_{name}.txt" for name in ("velo_to_cam", "imu_to_velo")]
    readings, tracklets = drive / "oxts" / "data", drive / "tracklet_labels.xml"
    key = drive.relative_to(root).as_posix()
    annotations = None
    if cameras.is_file():
        made_of = [cameras, *mounts, readings, tracklets, stamps, pictures.directory / pictures.names[0]]
        make = partial(_raw_rows, pictures, times, cameras, mounts, readings, tracklets, number)
        annotations = converted(out, f"{drive}-{number}", made_of, make, pictures.names)
    return _recording(key, pictures, times, annotations)


def _raw_rows(
    pictures: Pictures,
    times: Sequence[float | None],
    cameras: Path,
    mounts: Sequence[Path],
    readings: Path,
    tracklets: Path,
    number: str,
) -> Made:
    known = calibration(cameras)
    projection = matrix(known, f"P_rect_{number}", (3, 4), cameras)
    rectify = matrix(known, "R_rect_00", (3, 3), cameras)
    scanner, imu = (rigid_of(file) for file in mounts)
    to_camera = _chain(beside(projection, cameras), None if rectify is None else rigid(rectify, (0, 0, 0)), scanner)
    files = [readings / f"{Path(name).stem}.txt" for name in pictures.names]
    lines = [" ".join(lines_of(file)) or None for file in files]
    poses = _imu_poses(
        [None if line is None else reading(line, file, 6) for line, file in zip(lines, files, strict=True)]
    )
    placed = _seen_from(poses, _chain(to_camera, imu))
    rows, size = Rows(), pictures.size()
    _add_frames(rows, times, projection, placed)
    if tracklets.is_file() and to_camera is not None and projection is not None:
        add_tracklets(
            tracklets, rows, poses=placed, places=pictures.places, to_camera=to_camera, camera=projection[:, :3],
            picture=size,
        )  # fmt: skip
    return rows, size


def _odometry(root: Path, number: str, out: Path) -> Iterator[Recording]:
    for sequence in sorted(p for p in (root / "sequences").iterdir() if p.is_dir()):
        directory = sequence / f"image_{int(number)}"
        if not directory.is_dir():
            continue
        pictures = Pictures.of(directory)
        stamps, cameras, truth = sequence / "times.txt", sequence / "calib.txt", root / "poses" / f"{sequence.name}.txt"
        times = times_of(stamps, pictures)
        annotations = None
        if cameras.is_file():
            make = partial(_odometry_rows, pictures, times, cameras, truth, number)
            made_of = [cameras, truth, stamps, directory / pictures.names[0]]
            annotations = converted(out, f"{sequence}-{number}", made_of, make, pictures.names)
        yield _recording(sequence.name, pictures, times, annotations)


def _odometry_rows(pictures: Pictures, times: Sequence[float | None], cameras: Path, truth: Path, number: str) -> Made:
    projection = matrix(calibration(cameras), f"P{int(number)}", (3, 4), cameras)
    given = [reading(line, truth, 12)[:12].reshape(3, 4) for line in lines_of(truth)]
    # their world is the first camera's frame; in ours z points up
    up = rigid(FORWARD_LEFT_UP, (0, 0, 0))
    poses = [None if p is None else up @ np.vstack([p, (0, 0, 0, 1)]) for p in pictures.each(given)]
    rows = Rows()
    # poses are those of camera 0
    _add_frames(rows, times, projection, _seen_from(poses, beside(projection, cameras)))
    return rows, pictures.size()


def _tracking(root: Path, number: str, out: Path) -> Iterator[Recording]:
    for directory in sorted(p for p in (root / f"image_{number}").iterdir() if p.is_dir()):
        pictures = Pictures.of(directory)
        label, cameras, oxts = (root / part / f"{directory.name}.txt" for part in ("label_02", "calib", "oxts"))
        annotations = None
        if label.is_file() or cameras.is_file():
            make = partial(_tracking_rows, pictures, label, cameras, oxts, number)
            made_of = [label, cameras, oxts, directory / pictures.names[0]]
            annotations = converted(out, f"{directory}-{number}", made_of, make, pictures.names)
        yield _recording(directory.name, pictures, [None] * len(pictures.names), annotations)


def _tracking_rows(pictures: Pictures, label: Path, cameras: Path, oxts: Path, number: str) -> Made:
    # lines are called `Tr_imu_velo` or `Tr_imu_to_velo`, `R_rect` or `R0_rect`
    known = {key.replace("_to_", "_").replace("R0_", "R_"): value for key, value in calibration(cameras).items()}
    projection = matrix(known, f"P{int(number)}", (3, 4), cameras)
    from_first = beside(projection, cameras)
    turn = matrix(known, "R_rect", (3, 3), cameras)
    rectify = np.eye(4) if turn is None else rigid(turn, (0, 0, 0))
    velo, cam = (_square(matrix(known, key, (3, 4), cameras)) for key in ("Tr_imu_velo", "Tr_velo_cam"))
    lines = pictures.each(lines_of(oxts))
    poses = _imu_poses([None if line is None else reading(line, oxts, 6) for line in lines])
    placed = _seen_from(poses, _chain(from_first, rectify, cam, velo))
    rows = Rows()
    _add_frames(rows, [None] * len(placed), projection, placed)
    places = pictures.places
    for line in lines_of(label):
        _tracked(line.split(), label, places, placed, from_first, rows, boxes=number == _LABELLED)
    return rows, pictures.size()


def _tracked(
    fields: list[str],
    file: Path,
    places: Mapping[int, int],
    poses: list[Matrix | None],
    from_first: Matrix | None,
    rows: Rows,
    *,
    boxes: bool,
) -> None:
    """One line: frame id type truncated occluded alpha x1 y1 x2 y2 height width length x y z rotation_y.

    Without `boxes` its place is taken, and neither the box nor the share that is seen: they are another camera's.
    """
    if not fields:
        return
    try:
        if fields[2] == "DontCare":
            return
        frame, identity = int(fields[0]), int(fields[1])
        truncated, occluded = float(fields[3]), int(float(fields[4]))
        box = [float(value) for value in fields[6:10]]
        height, width, length, x, y, z, turn = (float(value) for value in fields[10:17])
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{file}: a line is no tracking label: {' '.join(fields)[:60]} ({error}).") from error
    place = places.get(frame)
    if place is None:
        return
    pose = poses[place]
    position = heading = None
    if pose is not None and from_first is not None and x > -1000:
        # the place given is the bottom's centre in the frame of rectified camera 0
        world = pose @ from_first @ np.asarray([x, y - height / 2, z, 1.0])
        position = world[:3]
        forward = pose[:3, :3] @ np.asarray([np.cos(turn), 0.0, -np.sin(turn)])
        heading = float(np.arctan2(forward[1], forward[0]))
    visible = VISIBLE.get(occluded) if boxes else None
    rows.object(
        place,
        identity,
        fields[2].lower(),
        box=box if boxes else None,
        visible=None if visible is None else visible * (1 - max(truncated, 0.0) if truncated <= 1 else 1.0),
        position=position,
        size=(length, width, height) if length > 0 else None,
        heading=heading,
    )


def _recording(key: str, pictures: Pictures, times: Sequence[float | None], annotations: str | None) -> Recording:
    known = tuple(time for time in times if time is not None)
    return Recording(key, str(pictures.directory), pictures.names, _FPS, known, annotations=annotations)


def _add_frames(
    rows: Rows, times: Sequence[float | None], projection: Matrix | None, poses: Sequence[Matrix | None]
) -> None:
    timed = any(time is not None for time in times)
    for place, (time, pose) in enumerate(zip(times, poses, strict=True)):
        seconds = time if timed else place / _FPS
        rows.frame(place, time_s=seconds, camera=None if projection is None else projection[:, :3], pose=pose)


def _chain(*parts: Matrix | None) -> Matrix | None:
    """Product of (4, 4) matrices, or None where one of them is not known."""
    product = np.eye(4)
    for part in parts:
        if part is None:
            return None
        product = product @ part
    return product


def _square(matrix: Matrix | None) -> Matrix | None:
    """(4, 4) of a (3, 4)."""
    return None if matrix is None else np.vstack([matrix, (0, 0, 0, 1)])


def _seen_from(poses: Sequence[Matrix | None], to_camera: Matrix | None) -> list[Matrix | None]:
    """Poses of the camera from poses (4, 4) of what `to_camera` leads from; None where either is not known."""
    if to_camera is None:
        return [None] * len(poses)
    back = np.linalg.inv(to_camera)
    return [None if pose is None else pose @ back for pose in poses]


def _imu_poses(readings: list[Matrix | None]) -> list[Matrix | None]:
    """(4, 4) GPS/IMU to world (east, north, up; origin at the first reading), by the Mercator projection."""
    poses: list[Matrix | None] = []
    origin: Matrix | None = None
    scale = 1.0
    for values in readings:
        if values is None:
            poses.append(None)
            continue
        latitude, longitude, altitude, roll, pitch, heading = values[:6]
        if origin is None:
            scale = float(np.cos(np.deg2rad(latitude)))
        east = scale * _EARTH_RADIUS_M * np.deg2rad(longitude)
        north = scale * _EARTH_RADIUS_M * np.log(np.tan(np.pi * (90 + latitude) / 360))
        place = np.asarray([east, north, altitude])
        origin = place if origin is None else origin
        poses.append(rigid(_turn(2, heading) @ _turn(1, pitch) @ _turn(0, roll), place - origin))
    return poses


def _turn(axis: int, angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[a, a], matrix[a, b], matrix[b, a], matrix[b, b] = c, -s, s, c
    return matrix
