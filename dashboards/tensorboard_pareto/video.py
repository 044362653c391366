"""A candidate's videos as film strips: one PNG of all frames, which a browser can step through exactly."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from tensorboard_pareto import records
from tensorboard_pareto.writer import add_blobs

MOST_PIXELS = 8192
"""Longest side of a film strip; browsers refuse much larger pictures."""


def add_video(
    writer: Any,
    candidate: str | None,
    clip: str,
    frames: NDArray[np.uint8],
    *,
    fps: float,
    context: int = 0,
    tracks: Iterable[Mapping[str, Any]] = (),
    step: int = 0,
) -> None:
    """Show a video in the candidate's panel, in step with the real one of the same clip.

    Args:
        writer: As in `add_candidate`.
        candidate: The candidate's name as `add_candidate` returned it; None for the real video of the clip.
        clip: Name of the clip, the same for the real video and all candidates.
        frames: (T, H, W, 3) uint8 RGB.
        fps: Frames per second.
        context: Leading frames that were given to the model; they are marked.
        tracks: Boxes to draw over the frames, each `{"frame": t, "id": i, "box": (x1, y1, x2, y2)}` in pixels, with an
            optional `label`.
        step: Step of the summary.

    Raises:
        ValueError: The frames have another shape or type, or do not fit into one picture.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"video {clip}: frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    count, height, width, _ = frames.shape
    columns = strip_columns(count, height, width)
    description = {
        "version": records.VERSION,
        "candidate": candidate or "",
        "clip": clip,
        "fps": float(fps),
        "frames": count,
        "context": int(context),
        "columns": columns,
        "height": height,
        "width": width,
        "tracks": [_track(track) for track in tracks],
    }
    content = records.encode({"version": records.VERSION, "candidate": candidate or "", "clip": clip})
    # TensorBoard's data server cannot read back a blob whose tag holds a quote or a backslash
    tag = records.VIDEO + "/".join(
        quote(name.encode("utf-8", "replace"), safe=" @+=") for name in (candidate or "", clip)
    )
    add_blobs(writer, tag, [records.encode(description), film_strip(frames, columns)], step, content)


def strip_columns(count: int, height: int, width: int) -> int:
    """Frames side by side such that the strip is about square.

    Raises:
        ValueError: The frames do not fit into a picture of `MOST_PIXELS` each way.
    """
    columns = max(1, min(count, round(math.sqrt(count * height / width)), MOST_PIXELS // width))
    if width > MOST_PIXELS or math.ceil(count / columns) * height > MOST_PIXELS:
        raise ValueError(
            f"{count} frames of {width}x{height} do not fit into a film strip of {MOST_PIXELS} pixels a side: "
            "give fewer or smaller frames"
        )
    return columns


def film_strip(frames: NDArray[np.uint8], columns: int) -> bytes:
    """PNG of the frames, row by row. PNG because a lossy picture would hide or add the very artefacts one looks for."""
    from PIL import Image

    count, height, width, _ = frames.shape
    rows = math.ceil(count / columns)
    strip = np.zeros((rows * columns, height, width, 3), np.uint8)
    strip[:count] = frames
    picture = strip.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _track(track: Mapping[str, Any]) -> list[Any]:
    """`[frame, id, x1, y1, x2, y2, label]`."""
    box = [round(float(value), 2) for value in track["box"]]
    if len(box) != 4:
        raise ValueError(f"a track's box needs x1, y1, x2, y2, got {len(box)} values")
    return [int(track["frame"]), int(track["id"]), *box, str(track.get("label", ""))]
