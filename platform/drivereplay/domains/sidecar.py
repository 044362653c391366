"""Annotations that lie beside a video: our Parquet, the same as JSON, or MOT-challenge text."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

from drivereplay.domains.annotations import FRAME_SCHEMA, OBJECT_SCHEMA, annotation_directory
from drivereplay.domains.conversion import Rows, converted
from drivereplay.errors import DataError

_MOT_CLASSES = {1: "pedestrian", 2: "person on vehicle", 3: "car", 4: "bicycle", 5: "motorbike", 6: "vehicle",
                7: "static person", 8: "distractor", 9: "occluder", 10: "occluder on the ground", 11: "occluder full",
                12: "reflection"}  # fmt: skip


def sidecar(video: Path, out: Path) -> str | None:
    """The annotations of a video, or None. Looked for in this order, `<stem>` being the video's name without suffix:

    1. `<stem>.annotations/` with `frames.parquet` and `objects.parquet` (`docs/worlds.md`),
    2. `<stem>.json`: `{"width": W, "height": H, "frames": [{column: value}], "objects": [{column: value}]}`,
    3. `<stem>.mot.txt`: MOT-challenge lines `frame,id,left,top,width,height,confidence,class,visibility`, frames and
       pixels from 1, in the video's own size.

    Raises:
        DataError: A file is there but is not what its name says.
    """
    directory = annotation_directory(video)
    if directory.is_dir():
        return str(directory.absolute())
    for suffix, read in ((".json", _json), (".mot.txt", _mot)):
        file = video.with_name(video.stem + suffix)
        if file.is_file():
            return converted(out, str(file.absolute()), [file, video], partial(read, file, video))
    return None


def _json(file: Path, video: Path) -> tuple[Rows, tuple[int, int]]:
    rows = Rows()
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        size = int(data["width"]), int(data["height"])
        for table, schema, into in (
            ("frames", FRAME_SCHEMA, rows.frames),
            ("objects", OBJECT_SCHEMA, rows.objects),
        ):
            entries = data.get(table, [])
            unknown = sorted({key for entry in entries for key in entry} - set(schema.names))
            if unknown:
                raise DataError(
                    f"{file}: {table} have unknown columns {', '.join(unknown)}.", f"Known: {schema.names}."
                )
            for name in schema.names:
                if entries and any(name in entry for entry in entries):
                    into[name] = [entry.get(name) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is no annotation file: {error!r}.", "docs/data.md describes it.") from error
    return rows, size


def _mot(file: Path, video: Path) -> tuple[Rows, tuple[int, int]]:
    rows = Rows()
    seen: set[int] = set()
    with file.open(newline="", encoding="utf-8") as stream:
        for number, line in enumerate(csv.reader(stream), start=1):
            if not line:
                continue
            try:
                frame, identity = int(line[0]) - 1, int(line[1])
                left, top, width, height = (float(value) for value in line[2:6])
                considered = float(line[6]) if len(line) > 6 else 1.0
                label = int(float(line[7])) if len(line) > 7 else -1
                visible = float(line[8]) if len(line) > 8 and float(line[8]) >= 0 else None
            except (ValueError, IndexError) as error:
                raise DataError(f"{file}, line {number}: {error}.", "It holds MOT-challenge lines.") from error
            if considered == 0:
                continue  # MOT's mark for boxes that are not to be evaluated
            if frame not in seen:
                seen.add(frame)
                rows.frame(frame)
            # MOT counts pixels from 1; ours are continuous, from 0 at the picture's edge
            box = [left - 1, top - 1, left - 1 + width, top - 1 + height]
            rows.object(frame, identity, _MOT_CLASSES.get(label, ""), box=box, visible=visible)
    return rows, _shown_size(video)


def _shown_size(video: Path) -> tuple[int, int]:
    import av

    try:
        with av.open(str(video)) as container:
            stream = container.streams.best("video")
            frame = next(container.decode(stream))
    except (av.error.FFmpegError, OSError, StopIteration, AttributeError) as error:
        raise DataError(f"{video} cannot be read: {error!r}.", "Its annotations need its size.") from error
    turned = int(frame.rotation) % 180 != 0
    return (frame.height, frame.width) if turned else (frame.width, frame.height)
