"""Annotations that lie beside a video: our Parquet, the same as JSON, or MOT-challenge text."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

from drivereplay.domains.annotations import FRAME_SCHEMA, OBJECT_SCHEMA, annotation_directory
from drivereplay.domains.conversion import Made, Rows, converted
from drivereplay.errors import DataError
from drivereplay.videos import open_video

_MOT_CLASSES = {1: "pedestrian", 2: "person on vehicle", 3: "car", 4: "bicycle", 5: "motorbike", 6: "vehicle",
                7: "static person", 8: "distractor", 9: "occluder", 10: "occluder on the ground", 11: "occluder full",
                12: "reflection"}  # fmt: skip


def sidecar(video: Path, out: Path) -> str | None:
    """The annotations of a video, or None. Looked for in this order, `<stem>` being the video's name without suffix:

    1. `<stem>.annotations/` with `frames.parquet` and `objects.parquet` (`docs/worlds.md`),
    2. `<stem>.json`: `{"width": W, "height": H, "frames": [{column: value}], "objects": [{column: value}]}`; a JSON
       file of something else is passed over,
    3. `<stem>.mot.txt`: MOT-challenge lines `frame,id,left,top,width,height,confidence,class,visibility`, frames and
       pixels from 1, in the video's own size. Frames count from 0 where a line has frame 0, as many programs write.

    Raises:
        DataError: A file is there but is not what its name says.
    """
    directory = annotation_directory(video)
    if directory.is_dir():
        return str(directory.absolute())
    for suffix, read in ((".json", _json), (".mot.txt", _mot)):
        file = video.with_name(video.stem + suffix)
        if file.is_file():
            found = converted(out, str(file.absolute()), [file, video], partial(read, file, video))
            if found is not None:
                return found
    return None


def _ours(file: Path) -> dict[str, Any] | None:
    """What a JSON file holds, or None where it is about something else: others leave files of that name too.

    Ours has a list `frames` or `objects`, and either the video's size or an entry that names its frame.
    """
    try:
        data = file.read_bytes()
        if not any(f'"{table}"'.encode() in data for table in _TABLES):
            return None
        found = json.loads(data.decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} is no annotation file: {error!r}.", _DESCRIBED) from error
    if not isinstance(found, dict):
        return None
    lists = [found[table] for table in _TABLES if isinstance(found.get(table), list)]
    named = any(isinstance(entry, dict) and "frame" in entry for entries in lists for entry in entries)
    return found if lists and (named or {"width", "height"} <= set(found)) else None


_TABLES = {"frames": FRAME_SCHEMA, "objects": OBJECT_SCHEMA}
_DESCRIBED = "docs/data.md describes it."


def _json(file: Path, video: Path) -> Made | None:
    data = _ours(file)
    if data is None:
        return None
    rows = Rows()
    try:
        size = int(data["width"]), int(data["height"])
        if min(size) < 1:
            raise ValueError(f"width and height are {size}")
        for (table, schema), into in zip(_TABLES.items(), (rows.frames, rows.objects), strict=True):
            entries = data.get(table) or []
            unknown = sorted({key for entry in entries for key in entry} - set(schema.names))
            if unknown:
                raise DataError(
                    f"{file}: {table} have unknown columns {', '.join(unknown)}.", f"Known: {schema.names}."
                )
            for name in schema.names:
                if any(name in entry for entry in entries):
                    into[name] = [entry.get(name) for entry in entries]
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no annotation file: {error!r}.", _DESCRIBED) from error
    return rows, size


def _mot(file: Path, video: Path) -> Made:
    rows = Rows()
    seen: set[int] = set()
    with file.open(newline="", encoding="utf-8-sig") as stream:
        lines = [(number, line) for number, line in enumerate(csv.reader(stream), start=1) if line]
    # MOT's frames begin with 1
    first = 0 if any(line[0].strip() == "0" for _, line in lines) else 1
    for number, line in lines:
        try:
            _box(line, first, seen, rows)
        except (ValueError, OverflowError, IndexError) as error:
            raise DataError(f"{file}, line {number}: {error}.", "It holds MOT-challenge lines.") from error
    try:
        with open_video(video) as opened:
            return rows, opened.pixel_size
    except DataError as error:
        raise DataError(f"{video} {error.what}.", f"{file} needs its size.") from error


def _box(line: list[str], first: int, seen: set[int], rows: Rows) -> None:
    frame, identity = int(line[0]) - first, int(line[1])
    left, top, width, height = (float(value) for value in line[2:6])
    considered = float(line[6]) if len(line) > 6 else 1.0
    label = int(float(line[7])) if len(line) > 7 else -1
    visible = float(line[8]) if len(line) > 8 and float(line[8]) >= 0 else None
    if considered == 0:
        return  # MOT's mark for boxes that are not to be evaluated
    if frame not in seen:
        seen.add(frame)
        rows.frame(frame)
    # MOT counts pixels from 1; ours are continuous, from 0 at the picture's edge
    box = [left - 1, top - 1, left - 1 + width, top - 1 + height]
    rows.object(frame, identity, _MOT_CLASSES.get(label, ""), box=box, visible=visible)
