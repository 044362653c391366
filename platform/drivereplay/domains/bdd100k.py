"""BDD100K: dashcam videos with multi-object tracking labels.

F. Yu et al., "BDD100K: a diverse driving dataset for heterogeneous multitask learning", CVPR 2020.
"""

from __future__ import annotations

import json
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
    left out. Labels come five times a second; the frames between them have none.

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
        for entry in frames:
            index = int(entry.get("frameIndex", entry.get("index", 0)))
            number = round(index * rate / _LABELS_PER_S)
            rows.frame(number, time_s=index / _LABELS_PER_S)
            for thing in entry.get("labels") or ():
                _thing(number, thing, rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{label} is no BDD100K tracking label: {error!r}.", "Unpack the labels again.") from error
    return rows, size


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
