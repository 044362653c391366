"""nuScenes: camera sweeps, ego poses, 3-D boxes with instance identities, from the data set's own tables.

H. Caesar et al., "nuScenes: a multimodal dataset for autonomous driving", CVPR 2020. The tables are read row by row:
of the large ones only rows of the camera that is asked for stay in memory.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import Made, Rows, converted, cuboid_box, identity_of, rigid, rotation, yaw
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError, SpecError

Row = dict[str, Any]

_TABLES = ("scene", "sample", "sample_data", "ego_pose", "calibrated_sensor", "sensor")
_BOXES = ("sample_annotation", "instance", "category")
_VISIBLE = {"1": 0.2, "2": 0.5, "3": 0.7, "4": 0.9}
"""Middle of each visibility level: 0–40, 40–60, 60–80, 80–100 %."""
_CHUNK = 1 << 20


def read_nuscenes(path: str, camera: str | None, out: Path) -> list[Recording]:
    """One recording per scene: all pictures of one camera, key frames and sweeps.

    Where the archives with `sweeps/` have not been unpacked, a scene has its key frames only, two a second.

    A row that points to one that is not there (a dangling token) is treated as not there itself; what then is unknown
    about a frame is null.

    Args:
        path: Directory with `samples/`, `sweeps/` and a directory of tables such as `v1.0-mini/`; or one of several
            such directories of tables, of which `v1.0-trainval` is taken otherwise.
        camera: Channel; `CAM_FRONT` by default.
        out: Where annotations are put.

    Raises:
        SpecError: The tables are not there, there are several, or no picture is of this camera.
        DataError: A table is damaged.
    """
    tables = _tables(Path(path).expanduser())
    try:
        return _scenes(tables, camera or "CAM_FRONT", out)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"A table in {tables} is damaged: {error!r}.", "Unpack the metadata again.") from error


def _tables(path: Path) -> Path:
    """The directory of tables."""
    found = [d for d in (path, *sorted(path.glob("v1.0-*"))) if (d / "scene.json").is_file()]
    if not found:
        raise SpecError(f"{path} has no nuScenes tables (v1.0-…/scene.json).", "Unpack the metadata archive there.")
    whole = [d for d in found if d == path or d.name == "v1.0-trainval"]
    if len(found) > 1 and not whole:
        names = ", ".join(d.name for d in found)
        raise SpecError(f"{path} has several nuScenes tables: {names}.", f"Give the one, such as {found[0]}.")
    tables = (whole or found)[0]
    missing = [name for name in _TABLES if not (tables / f"{name}.json").is_file()]
    if missing:
        raise SpecError(f"{tables} lacks the tables {', '.join(missing)}.", "Unpack the metadata archive again.")
    return tables


def _scenes(tables: Path, channel: str, out: Path) -> list[Recording]:
    sensors = {row["token"]: row["channel"] for row in rows_of(tables / "sensor.json")}
    mounted = {
        row["token"]: row
        for row in rows_of(tables / "calibrated_sensor.json")
        if sensors.get(row["sensor_token"]) == channel
    }
    scenes = {row["token"]: row for row in rows_of(tables / "scene.json")}
    scene_of = {row["token"]: row["scene_token"] for row in rows_of(tables / "sample.json")}
    pictures: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(tables / "sample_data.json"):
        scene = scene_of.get(row["sample_token"])
        if row["calibrated_sensor_token"] in mounted and scene in scenes:
            pictures[str(scene)].append(row)
    if not pictures:
        raise SpecError(f"{tables} has no picture of camera {channel}.", f"Cameras: {sorted(set(sensors.values()))}.")
    wanted = {row["ego_pose_token"] for rows in pictures.values() for row in rows}
    poses = {row["token"]: row for row in rows_of(tables / "ego_pose.json") if row["token"] in wanted}
    boxes = _annotations(tables, {row["sample_token"] for rows in pictures.values() for row in rows})
    files = [tables / f"{table}.json" for table in (*_TABLES, *_BOXES)]
    unpacked = _Unpacked(tables.parent)
    found = []
    for token, rows in sorted(pictures.items(), key=lambda item: str(scenes[item[0]]["name"])):
        rows.sort(key=lambda row: row["timestamp"])
        name = str(scenes[token]["name"])
        notes: tuple[str, ...] = ()
        swept = [row for row in rows if not row["is_key_frame"]]
        if swept and not any(row["filename"] in unpacked for row in swept):
            rows = [row for row in rows if row["is_key_frame"]]
            notes = ("has no sweeps/: only its key frames, two a second, are used",)
        make = partial(_rows, rows, mounted, poses, boxes)
        found.append(
            Recording(
                key=name,
                path=str(tables.parent.absolute()),
                images=tuple(row["filename"] for row in rows),
                timestamps_s=tuple((row["timestamp"] - rows[0]["timestamp"]) * 1e-6 for row in rows),
                annotations=converted(out, f"{tables}-{name}-{channel}", files, make, _KEY_FRAMES if notes else ()),
                notes=notes,
            )
        )
    return found


_KEY_FRAMES = ("key frames",)


class _Unpacked:
    """Which of the data set's files are there; each directory is listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, frozenset[str]] = {}

    def __contains__(self, file: str) -> bool:
        directory, _, name = file.rpartition("/")
        if directory not in self._names:
            place = self._root / directory
            self._names[directory] = frozenset(os.listdir(place)) if place.is_dir() else frozenset()  # noqa: PTH208
        return name in self._names[directory]


def rows_of(file: Path) -> Iterator[Row]:
    """The objects of a JSON array, one at a time.

    Raises:
        DataError: It is no array of objects.
    """
    decoder = json.JSONDecoder()
    text, position = "", 0
    with file.open(encoding="utf-8") as stream:
        opened = False
        while True:
            while position < len(text) and text[position] in " \n\r\t,":
                position += 1
            if not opened and position < len(text):
                if text[position] != "[":
                    raise DataError(f"{file} is no table: it does not begin with '['.", "Unpack the metadata again.")
                opened, position = True, position + 1
                continue
            if position < len(text) and text[position] == "]":
                return
            try:
                if position >= len(text):
                    raise ValueError("more is needed")
                row, position = decoder.raw_decode(text, position)
            except ValueError:
                more = stream.read(_CHUNK)
                if not more:
                    raise DataError(f"{file} ends in the middle of a row.", "Unpack the metadata again.") from None
                text, position = text[position:] + more, 0
                continue
            yield row


def _annotations(tables: Path, samples: set[str]) -> dict[str, list[Row]]:
    """Boxes by sample, with their category."""
    files = [tables / f"{name}.json" for name in _BOXES]
    if not all(file.is_file() for file in files):
        return {}
    categories = {row["token"]: row["name"] for row in rows_of(files[2])}
    instances = {row["token"]: categories.get(row["category_token"]) for row in rows_of(files[1])}
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows_of(files[0]):
        if row["sample_token"] in samples and row["instance_token"] in instances:
            found[row["sample_token"]].append({**row, "category": instances[row["instance_token"]] or ""})
    return found


def _rows(pictures: list[Row], mounted: dict[str, Row], poses: dict[str, Row], boxes: dict[str, list[Row]]) -> Made:
    rows = Rows()
    size = int(pictures[0]["width"]), int(pictures[0]["height"])
    for number, picture in enumerate(pictures):
        sensor = mounted[picture["calibrated_sensor_token"]]
        camera = np.asarray(sensor["camera_intrinsic"], dtype=np.float64)
        ego = poses.get(picture["ego_pose_token"])
        pose = None if ego is None else _matrix(ego) @ _matrix(sensor)
        seconds = (picture["timestamp"] - pictures[0]["timestamp"]) * 1e-6
        rows.frame(number, time_s=seconds, camera=camera, pose=pose)
        # boxes hold at key frames; between them nothing is said
        if not picture["is_key_frame"] or pose is None:
            continue
        for row in boxes.get(picture["sample_token"], ()):
            body = _matrix(row)
            width, length, height = row["size"]
            seen = cuboid_box(body, (length, width, height), pose, camera, size)
            if seen is None:
                continue
            level = _VISIBLE.get(str(row.get("visibility_token")))
            rows.object(
                number,
                identity_of(row["instance_token"]),
                row["category"],
                box=seen[0],
                visible=None if level is None else level * seen[1],
                position=body[:3, 3],
                size=(length, width, height),
                heading=yaw(body),
            )
    return rows, size


def _matrix(row: Row) -> NDArray[np.float64]:
    return rigid(rotation(*row["rotation"]), row["translation"])
