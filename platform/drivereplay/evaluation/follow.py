"""Following an object from its box in the last context frame through the future, without weights."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage

SETTINGS = {"follower": "median flow, Lucas-Kanade with forward-backward check"}


def tracks(footage: Footage) -> NDArray[np.float32]:
    """Boxes (T, N, 4) of the clip's annotated objects as followed in this video; NaN where an object is lost.

    The start is each object's annotated box in the last context frame; context frames and objects that are not in the
    picture there stay NaN.
    """
    return footage.estimate("tracks", lambda: _follow_all(footage))


def _follow_all(footage: Footage) -> NDArray[np.float32]:
    assert footage.annotations is not None
    start = footage.annotations.boxes_px[footage.context - 1]
    boxes = np.full((len(footage.frames), len(start), 4), np.nan, dtype=np.float32)
    boxes[footage.context - 1] = start
    for n, box in enumerate(start):
        if not np.isfinite(box).all():
            continue
        for t in range(footage.context, len(footage.frames)):
            moved = median_flow(footage.grey[t - 1], footage.grey[t], box)
            if moved is None:
                break
            boxes[t, n] = box = moved
    return boxes


def median_flow(
    first: NDArray[np.uint8], second: NDArray[np.uint8], box: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """One step of median flow (Kalal et al., ICPR 2010): the box moved by median shift and scale of a grid of points.

    Returns None where it is lost: fewer than four points survive, or the box leaves the picture.
    """
    height, width = first.shape
    x1, y1, x2, y2 = box
    side = 8
    xs = np.linspace(x1, x2, side + 2)[1:-1]
    ys = np.linspace(y1, y2, side + 2)[1:-1]
    points = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 1, 2).astype(np.float32)
    inside = ((points >= 0) & (points < (width, height))).all(-1).ravel()
    points = points[inside]
    if len(points) < 4:
        return None
    moved, found = _lucas_kanade(first, second, points)
    back, found_back = _lucas_kanade(second, first, moved)
    error = np.linalg.norm((back - points).reshape(-1, 2), axis=1)
    kept = (found.ravel() == 1) & (found_back.ravel() == 1)
    if kept.sum() < 4:
        return None
    kept &= error <= max(float(np.median(error[kept])), 1e-3)
    if np.median(error[kept]) > 0.1 * np.hypot(x2 - x1, y2 - y1) + 1 or kept.sum() < 4:
        return None
    before, after = points.reshape(-1, 2)[kept], moved.reshape(-1, 2)[kept]
    shift = np.median(after - before, axis=0)
    upper = np.triu_indices(len(before), 1)
    spans = np.linalg.norm(before[:, None] - before[None], axis=-1)[upper]
    spans_after = np.linalg.norm(after[:, None] - after[None], axis=-1)[upper]
    apart = spans > 1e-3
    scale = float(np.median(spans_after[apart] / spans[apart])) if apart.any() else 1.0
    scale = min(max(scale, 0.8), 1.25)
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + shift
    half = np.array([x2 - x1, y2 - y1]) / 2 * scale
    if not (0 <= centre[0] < width and 0 <= centre[1] < height):
        return None
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def _lucas_kanade(
    first: NDArray[np.uint8], second: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    start = points.copy()  # OpenCV's stub wants the argument that C++ overwrites
    moved, found, _ = cv2.calcOpticalFlowPyrLK(first, second, points, start, winSize=(9, 9), maxLevel=3)
    return np.asarray(moved, dtype=np.float32), np.asarray(found)
