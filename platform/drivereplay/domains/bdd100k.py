"""BDD100K: dashcam videos with multi-object tracking labels.

F. Yu et al., "BDD100K: a diverse driving dataset for heterogeneous multitask learning", CVPR 2020.
"""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, Literal

from drivereplay.domains.conversion import Made, Rows, converted, identity_of
from drivereplay.domains.recording import Recording
from drivereplay.domains.search import files_below
from drivereplay.errors import DataError, SpecError
from drivereplay.videos import open_video

_FPS = 30.0
_SIZE = (1280, 720)
_LABELS_PER_S = 5.0
_SPLITS: dict[str, Literal["train", "evaluation"] | None] = {"train": "train", "val": "evaluation"}
_UNLABELLED = "test"


def read_bdd100k(path: str, out: Path) -> list[Recording]:
    """One recording per video of `videos/{train,val}/`, with boxes of `labels/box_track_20/` where there are any.

    The data set's own division is kept: `train` is trained on, `val` is held out, and `test`, which has no labels, is
    left out. Labels come five times a second; the frames between them have none. Which of them an entry is says its
    `frameIndex` (or `frame_index`, or `index`), counted from 0, or else the number at the end of its image's name.

    Raises:
        SpecError: There is no `videos/` directory.
        DataError: A label file is damaged.
    """
    root = Path(path).expanduser()
    if not (root / "videos").is_dir():
        raise SpecError(f"{path} has no directory `videos`.", "Give the root of BDD100K.")
    found = []
    for video in files_below(root / "videos", frozenset({".mov", ".mp4"})):
        part = video.parent.name
        if part == _UNLABELLED:
            continue
        label = root / "labels" / "box_track_20" / part / f"{video.stem}.json"
        annotations = None
        if label.is_file():
            annotations = converted(out, str(label), [label, video], partial(_rows, label, video))
        key = video.relative_to(root / "videos").as_posix()
        found.append(Recording(key, str(video.absolute()), split=_SPLITS.get(part), annotations=annotations))
    return found


def _rows(label: Path, video: Path) -> Made:
    size, rate = _size_and_rate(video)
    rows = Rows()
    try:
        frames = json.loads(label.read_text(encoding="utf-8"))
        frames = frames.get("frames", frames) if isinstance(frames, dict) else frames
        for entry, index in zip(frames, _indices(frames), strict=True):
            number = round(index * rate / _LABELS_PER_S)
            rows.frame(number, time_s=index / _LABELS_PER_S)
            for thing in entry.get("labels") or ():
                _thing(number, thing, rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{label} is no BDD100K tracking label: {error!r}.", "Unpack the labels again.") from error
    return rows, size


def _indices(entries: list[dict[str, Any]]) -> list[int]:
    """Number of each entry among the labelled images of its video, from 0."""
    given = [next((int(e[key]) for key in _INDEX if e.get(key) is not None), None) for e in entries]
    named = [int(match[1]) if (match := _NUMBER.search(str(e.get("name", "")))) else None for e in entries]
    both = [name - index for name, index in zip(named, given, strict=True) if name is not None and index is not None]
    # the data set's own names count from 1
    first = min(both, default=1)
    found = []
    for number, (index, name) in enumerate(zip(given, named, strict=True)):
        if index is None and name is None:
            raise ValueError(f"entry {number} has no frameIndex, nor a name that ends with a number")
        found.append(name - first if index is None and name is not None else index)
    return [index for index in found if index is not None]


_INDEX = ("frameIndex", "frame_index", "index")
_NUMBER = re.compile(r"(\d+)(?:\.\w+)?$")


def _thing(number: int, thing: dict[str, Any], rows: Rows) -> None:
    box = thing.get("box2d")
    if box is None:
        return
    text = str(thing["id"])
    identity = int(text) if text.isdigit() else identity_of(text)
    # box2d names the corner pixels themselves; ours is the edge beyond the last one
    edges = [float(box["x1"]), float(box["y1"]), float(box["x2"]) + 1, float(box["y2"]) + 1]
    rows.object(number, identity, str(thing.get("category", "")), box=edges)


def _size_and_rate(video: Path) -> tuple[tuple[int, int], float]:
    try:
        with open_video(video) as opened:
            return opened.pixel_size, opened.fps
    except DataError:
        # the index will set the video aside; its labels are written for the data set's size
        return _SIZE, _FPS
