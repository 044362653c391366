"""LeRobot data sets, version 3: many episodes in few mp4 files.

Ray's `read_lerobot` gives rows of decoded frames, through lerobot and torchcodec; an index needs to know where episodes
lie, and the tables say it (`docs/data.md` has the whole comparison).
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from drivereplay.domains.recording import Recording
from drivereplay.domains.search import files_below
from drivereplay.errors import DataError, SpecError


def read_lerobot(path: str, camera: str | None) -> list[Recording]:
    """One recording per episode: a stretch of one of the data set's video files.

    Times of episodes are sums of rounded durations and may be off by frames. Where all episodes of a file come to the
    number of frames that it has, the frames of an episode are counted instead.

    Args:
        path: Directory with `meta/info.json`.
        camera: A video feature such as `observation.images.front`; by default the first one that the data set names.

    Raises:
        SpecError: It is no LeRobot data set of version 3, or has no such camera.
        DataError: A table cannot be read.
    """
    root = Path(path).expanduser()
    info = _info(root)
    version = str(info.get("codebase_version", ""))
    if not version.startswith("v3"):
        raise SpecError(f"{path} is a LeRobot data set of version {version or 'unknown'}.", "Convert it to v3.0.")
    cameras = [name for name, feature in info["features"].items() if feature.get("dtype") == "video"]
    key = camera or (cameras[0] if cameras else "")
    if key not in cameras:
        raise SpecError(f"{path} has no camera '{key}'.", f"It has {', '.join(cameras) or 'none'}.")
    pattern = info.get("video_path") or "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    rows = _episodes(root, key)
    frames = _frames(rows, key)
    found = []
    for row, part_frames in zip(rows, frames, strict=True):
        chunk, file, start, end = (row[f"videos/{key}/{name}"] for name in _COLUMNS)
        video = root / pattern.format(video_key=key, chunk_index=chunk, file_index=file)
        found.append(
            Recording(
                key=f"episode-{row['episode_index']:06d}",
                path=str(video.absolute()),
                fps=float(info["fps"]),
                part_s=(float(start), float(end)),
                part_frames=part_frames,
                stated_frames=None if part_frames is None else part_frames[1],
            )
        )
    return found


_COLUMNS = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")


def _frames(rows: list[dict[str, Any]], key: str) -> list[tuple[int, int, int] | None]:
    """First frame in the file, number of frames, and frames of the whole file, for each episode."""
    if any(row.get("length") is None for row in rows):
        return [None] * len(rows)
    files = [tuple(row[f"videos/{key}/{name}"] for name in _COLUMNS[:2]) for row in rows]
    order = sorted(range(len(rows)), key=lambda n: rows[n][f"videos/{key}/{_COLUMNS[2]}"])
    totals: Counter[tuple[Any, ...]] = Counter()
    firsts = [0] * len(rows)
    for n in order:
        firsts[n] = totals[files[n]]
        totals[files[n]] += int(rows[n]["length"])
    return [(first, int(row["length"]), totals[file]) for first, row, file in zip(firsts, rows, files, strict=True)]


def _info(root: Path) -> dict[str, Any]:
    file = root / "meta" / "info.json"
    try:
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{file} cannot be read: {error}.", "Give the root of a LeRobot data set.") from error
    if not {"features", "fps"} <= set(info):
        raise SpecError(f"{file} names no features or no fps.", "Give the root of a LeRobot data set.")
    return info


def _episodes(root: Path, key: str) -> list[dict[str, Any]]:
    names = {"episode_index", *(f"videos/{key}/{name}" for name in _COLUMNS)}
    rows: list[dict[str, Any]] = []
    for file in files_below(root / "meta" / "episodes", frozenset({".parquet"})):
        try:
            table = pq.read_table(file, columns=[*names, "length"], partitioning=None)
            if missing := names - set(table.column_names):
                raise KeyError(f"no column {', '.join(sorted(missing))}")
            rows += table.to_pylist()
        except (OSError, pa.ArrowException, KeyError) as error:
            raise DataError(f"{file} cannot be read: {error}.", "Download the data set's `meta` again.") from error
    return sorted(rows, key=lambda row: int(row["episode_index"]))
