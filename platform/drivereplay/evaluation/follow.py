"""Following an object from its box in the last context frame through the future, without weights.

Two movers look at each step. Points on a grid in the box, tracked by Lucas-Kanade with a forward-backward check, are
the
more exact one where they hold (median flow). Dense DIS flow inside the box is coarser but does not lose fast or large
objects. The points are believed unless they fail or lie far from what the dense flow says. Measured against template
matching, pure point tracks, pure dense flow and anisotropic scaling on the worlds: see the docs of the evaluation.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import known_at_start
from drivereplay.evaluation.flow import future_flow
from drivereplay.evaluation.footage import Footage

SETTINGS = {"follower": "median flow (Lucas-Kanade 9 px, forward-backward), dense DIS flow where it fails"}
GRID = 8
WINDOW_PX = 9
APART_PX, APART_SHARE = 1.0, 0.1
"""The points yield to the dense flow where the centres differ by more than 1 px plus a tenth of the diagonal."""
LEAST_INSIDE = 0.25
"""An object is lost when less of its box than this is inside the picture."""

Box = NDArray[np.float64]


def tracks(footage: Footage) -> NDArray[np.float64]:
    """Boxes (T, N, 4) of the clip's annotated objects as followed in this video; NaN where an object is lost.

    The start is each object's annotated box in the last context frame; earlier frames, and objects that are not clear
    enough there (`boxes.known_at_start`), stay NaN. Boxes are cut at the picture's edge, as annotated ones are.
    """
    return footage.estimate("tracks", lambda: _follow_all(footage))


def _follow_all(footage: Footage) -> NDArray[np.float64]:
    assert footage.annotations is not None
    height, width = footage.frames.shape[1:3]
    last = footage.context - 1
    start = footage.annotations.boxes_px[last].astype(np.float64)
    boxes = np.full((len(footage.frames), len(start), 4), np.nan)
    boxes[last] = np.where(known_at_start(footage)[:, None], start, np.nan)
    for n in np.flatnonzero(known_at_start(footage)):
        box: Box = start[n]
        for t in range(footage.context, len(footage.frames)):
            moved = follow_step(footage.grey[t - 1], footage.grey[t], future_flow(footage)[t - footage.context], box)
            if moved is None:
                break
            box = moved
            boxes[t, n] = np.clip(box, 0, (width, height, width, height))
    return boxes


def follow_step(
    first: NDArray[np.uint8], second: NDArray[np.uint8], dense: NDArray[np.float32], box: Box
) -> Box | None:
    """The box in the second frame, or None where it is lost.

    Args:
        first, second: Grey frames (H, W).
        dense: Flow (H, W, 2) from the first to the second.
        box: x1 y1 x2 y2 in the first; may reach beyond the picture.
    """
    grid = _grid(box, first.shape)
    if len(grid) < 4:
        return None
    by_points = _by_points(first, second, grid, box)
    by_flow = _moved(box, grid, grid + _sampled(dense, grid))
    moved = by_flow
    if by_points is not None:
        apart = np.linalg.norm((by_points - by_flow)[:2] + (by_points - by_flow)[2:]) / 2
        if apart <= APART_PX + APART_SHARE * np.hypot(box[2] - box[0], box[3] - box[1]):
            moved = by_points
    height, width = first.shape
    inside = np.clip(moved, 0, (width, height, width, height))
    area = (moved[2:] - moved[:2]).prod()
    return moved if (inside[2:] - inside[:2]).prod() >= LEAST_INSIDE * area else None


def _grid(box: Box, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Points (K, 2) on a grid in the box that lie inside the picture."""
    xs = np.linspace(box[0], box[2], GRID + 2)[1:-1]
    ys = np.linspace(box[1], box[3], GRID + 2)[1:-1]
    points = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2).astype(np.float32)
    return points[((points >= 0) & (points <= (shape[1] - 1, shape[0] - 1))).all(1)]


def _sampled(dense: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.remap(dense, points[:, :1], points[:, 1:], cv2.INTER_LINEAR)).reshape(-1, 2)


def _by_points(first: NDArray[np.uint8], second: NDArray[np.uint8], grid: NDArray[np.float32], box: Box) -> Box | None:
    """Median flow (Kalal et al., ICPR 2010): the points with the smaller forward-backward error move it."""
    moved, found = _lucas_kanade(first, second, grid)
    back, found_back = _lucas_kanade(second, first, moved)
    error = np.linalg.norm(back - grid, axis=1)
    kept = found & found_back & np.isfinite(error)
    if kept.sum() < 4:
        return None
    kept &= error <= max(float(np.median(error[kept])), 1e-3)
    return _moved(box, grid[kept], moved[kept]) if kept.sum() >= 4 else None


def _lucas_kanade(
    first: NDArray[np.uint8], second: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    start = points.reshape(-1, 1, 2)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, start, start.copy(), winSize=(WINDOW_PX, WINDOW_PX), maxLevel=3, minEigThreshold=1e-5
    )
    return np.asarray(moved, dtype=np.float32).reshape(-1, 2), np.asarray(found).ravel() == 1


def _moved(box: Box, before: NDArray[np.float32], after: NDArray[np.float32]) -> Box:
    """The box moved by the median shift and scaled by the median ratio of distances between points."""
    upper = np.triu_indices(len(before), 1)
    spans = np.linalg.norm(before[:, None] - before[None], axis=-1)[upper]
    spans_after = np.linalg.norm(after[:, None] - after[None], axis=-1)[upper]
    apart = spans > 1e-3
    scale = float(np.clip(np.median(spans_after[apart] / spans[apart]), 0.8, 1.25)) if apart.any() else 1.0
    centre = (box[:2] + box[2:]) / 2
    # the scale acts about the points' own middle, which is not the box's where part of the box is out of the picture
    moved = centre + np.median(after - before, axis=0) + (scale - 1) * (centre - np.median(before, axis=0))
    half = (box[2:] - box[:2]) / 2 * scale
    return np.concatenate([moved - half, moved + half])
