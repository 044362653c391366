"""The judged objects' tracks, real and as found in a generated video, as plain data for a player to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.boxes import VISIBLE, known_at_start
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.scoring import has_needs, one_opencv_thread


def video_tracks(clip: Clip, frames: NDArray[np.uint8]) -> dict[str, list[dict[str, Any]]]:
    """`real` and `generated` tracks of one clip: what the agents' metrics compare, in every frame of the video.

    Args:
        clip: The real clip.
        frames: The generated video of it, (T, H, W, 3) uint8.

    Returns:
        For each of the two, `{"frame": t, "id": i, "box": [x1, y1, x2, y2], "label": class}` in pixels of the clip, in
        order of frames. The given frames have the same boxes in both. Empty where the clip has no boxes.
    """
    real = Footage.of(clip)
    if not has_needs(real, frozenset({"boxes"})):
        return {"real": [], "generated": []}
    assert real.annotations is not None
    known = real.annotations
    asked = (known.visible >= VISIBLE) & known_at_start(real)
    true = np.where(asked[..., None], known.boxes_px.astype(np.float64), np.nan)
    with one_opencv_thread():
        tracked = anchored.tracks(real, real.with_frames(frames))
    found = np.concatenate([true[: clip.context], tracked])
    return {"real": _rows(true, known.ids, known.classes), "generated": _rows(found, known.ids, known.classes)}


def _rows(boxes: NDArray[np.float64], ids: NDArray[np.int64], classes: NDArray[np.str_]) -> list[dict[str, Any]]:
    there = np.argwhere(np.isfinite(boxes).all(-1))
    return [
        {"frame": int(t), "id": int(ids[n]), "box": [round(float(v), 2) for v in boxes[t, n]], "label": str(classes[n])}
        for t, n in there
    ]
