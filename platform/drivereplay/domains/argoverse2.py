"""Argoverse 2, sensor data set: ring cameras, ego poses, 3-D cuboids with track identities.

B. Wilson et al., "Argoverse 2: next generation datasets for self-driving perception and forecasting", NeurIPS 2021.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
from numpy.typing import NDArray

from drivereplay.domains.conversion import Made, Rows, converted, cuboid_box, identity_of, rigid, rotation, yaw
from drivereplay.domains.recording import Recording
from drivereplay.domains.search import directories_below
from drivereplay.errors import DataError, SpecError

_SPLITS: dict[str, Literal["train", "evaluation"] | None] = {"train": "train", "val": "evaluation"}
_UNLABELLED = "test"
_SAME_MOMENT_NS = 25_000_000
"""Cuboids hold at lidar sweeps (10 Hz); a picture (20 Hz) gets those of a sweep within half a picture's period."""


def read_argoverse2(path: str, camera: str | None, out: Path) -> list[Recording]:
    """One recording per log below `train/` and `val/` (or directly below `path`); `val` is held out.

    Logs below `test/` have no labels and are left out, unless `path` is that directory itself. Pictures are the files
    that are named after their nanosecond.

    Args:
        camera: `ring_front_center` by default.
        out: Where annotations are put.

    Raises:
        SpecError: There is no log with this camera.
        DataError: A table of a log cannot be read.
    """
    root = Path(path).expanduser()
    name = camera or "ring_front_center"
    found = []
    for log in sorted(directory for directory, _ in directories_below(root)):
        pictures = log / "sensors" / "cameras" / name
        if not pictures.is_dir() or _UNLABELLED in log.relative_to(root).parts[:-1]:
            continue
        stamps = sorted(int(p.stem) for p in pictures.glob("*.jpg") if p.stem.isdecimal())
        if not stamps:
            continue
        tables = [log / "annotations.feather", log / "city_SE3_egovehicle.feather", log / "calibration"]
        images = tuple(f"{stamp}.jpg" for stamp in stamps)
        found.append(
            Recording(
                key=log.relative_to(root).as_posix(),
                path=str(pictures.absolute()),
                images=images,
                timestamps_s=tuple((stamp - stamps[0]) * 1e-9 for stamp in stamps),
                split=_SPLITS.get(log.parent.name),
                annotations=converted(out, f"{log}-{name}", tables, partial(_rows, log, name, stamps), images),
            )
        )
    if not found:
        raise SpecError(f"{path} has no log with pictures in sensors/cameras/{name}/.", "Give the data set's root.")
    return found


def _rows(log: Path, name: str, stamps: list[int]) -> Made:
    intrinsics = _row(_table(log / "calibration" / "intrinsics.feather"), name)
    mount = _row(_table(log / "calibration" / "egovehicle_SE3_sensor.feather"), name)
    camera = np.eye(3)
    camera[0, 0], camera[1, 1] = intrinsics["fx_px"], intrinsics["fy_px"]
    camera[0, 2], camera[1, 2] = intrinsics["cx_px"], intrinsics["cy_px"]
    size = int(intrinsics["width_px"]), int(intrinsics["height_px"])
    egos = {int(row["timestamp_ns"]): _matrix(row) for row in _table(log / "city_SE3_egovehicle.feather")}
    cuboids: dict[int, list[dict[str, Any]]] = {}
    if (log / "annotations.feather").is_file():
        for row in _table(log / "annotations.feather"):
            cuboids.setdefault(int(row["timestamp_ns"]), []).append(row)
    sweeps = np.asarray(sorted(cuboids), dtype=np.int64)
    rows = Rows()
    for number, stamp in enumerate(stamps):
        ego = egos.get(stamp)
        pose = None if ego is None else ego @ _matrix(mount)
        rows.frame(number, time_s=(stamp - stamps[0]) * 1e-9, camera=camera, pose=pose)
        if pose is None or not len(sweeps):
            continue
        sweep = int(sweeps[np.abs(sweeps - stamp).argmin()])
        if abs(sweep - stamp) <= _SAME_MOMENT_NS and sweep in egos:
            for row in cuboids[sweep]:
                _cuboid(number, row, egos[sweep], pose, camera, size, rows)
    return rows, size


def _cuboid(
    number: int,
    row: dict[str, Any],
    ego: NDArray[np.float64],
    pose: NDArray[np.float64],
    camera: NDArray[np.float64],
    size: tuple[int, int],
    rows: Rows,
) -> None:
    body = ego @ _matrix(row)
    extent = [float(row[f"{side}_m"]) for side in ("length", "width", "height")]
    seen = cuboid_box(body, extent, pose, camera, size)
    if seen is not None:
        category = str(row["category"]).lower()
        rows.object(
            number, identity_of(row["track_uuid"]), category,
            box=seen[0], position=body[:3, 3], size=extent, heading=yaw(body),
        )  # fmt: skip


def _table(file: Path) -> list[dict[str, Any]]:
    try:
        return feather.read_table(file).to_pylist()  # type: ignore[no-any-return]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file} cannot be read: {error}.", "Download the log again.") from error


def _row(table: list[dict[str, Any]], sensor: str) -> dict[str, Any]:
    for row in table:
        if row["sensor_name"] == sensor:
            return row
    raise DataError(f"The calibration has no sensor {sensor}.", f"It has {[row['sensor_name'] for row in table]}.")


def _matrix(row: dict[str, Any]) -> NDArray[np.float64]:
    turn = rotation(*(float(row[key]) for key in ("qw", "qx", "qy", "qz")))
    return rigid(turn, [float(row[key]) for key in ("tx_m", "ty_m", "tz_m")])
