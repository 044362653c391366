"""Boxes and their matching: overlaps, centres, and the best assignment."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage

VISIBLE, CLEAR, LEAST_SIDE_PX = 0.5, 0.75, 5.0
RULE = {"visible": VISIBLE, "clear_at_start": CLEAR, "least_side_px": LEAST_SIDE_PX}
"""Which objects are asked for, and in which frames; part of the protocol."""
IGNORED = {"half_hidden": "ignored"}
"""Added to the protocol of metrics that count followed boxes with no real one against the video (`half_hidden`)."""

Boxes = NDArray[np.float32] | NDArray[np.float64]


def overlaps(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), x1 y1 x2 y2; NaN boxes overlap nothing."""
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    inner = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inner
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.where(union > 0, inner / union, 0.0))


def centres(boxes: Boxes) -> NDArray[np.float64]:
    """Centres (..., 2) of boxes (..., 4)."""
    wide = boxes.astype(np.float64)
    return (wide[..., :2] + wide[..., 2:]) / 2


def assigned(gain: NDArray[np.float64], least: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the assignment with the largest total gain, pairs below `least` left out (Hungarian)."""
    from scipy.optimize import linear_sum_assignment

    allowed = np.where(gain >= least, gain, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    kept = gain[rows, columns] >= least
    return rows[kept], columns[kept]


def real_tracks(real: Footage) -> NDArray[np.float64]:
    """Annotated boxes (F, N, 4) of the objects that are known at the start; NaN where one is not visible.

    Only those can be asked of a generated future: what enters later is not determined by what was given. A box counts
    as visible where at least half of it is seen: under it, the centre of what is seen is not the object's.
    """
    assert real.annotations is not None
    boxes = real.annotations.boxes_px[real.context :].astype(np.float64)
    seen = (real.annotations.visible[real.context :] >= VISIBLE) & known_at_start(real)
    return np.where(seen[..., None], boxes, np.nan)


def half_hidden(real: Footage) -> NDArray[np.bool_]:
    """Where (F, N) an object is annotated but less than half of it is seen: nothing is asked of it there.

    A box that is followed in such a frame is neither right nor wrong, as in the ignore regions of MOTChallenge.
    """
    assert real.annotations is not None
    known = np.isfinite(real.annotations.boxes_px[real.context :]).all(-1)
    return np.asarray(known & ~(real.annotations.visible[real.context :] >= VISIBLE))


def known_at_start(real: Footage) -> NDArray[np.bool_]:
    """Which of the N objects are clear enough in the last context frame: three quarters seen, 5 px on each side."""
    assert real.annotations is not None
    last = real.context - 1
    boxes = real.annotations.boxes_px[last]
    with np.errstate(invalid="ignore"):
        large = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= LEAST_SIDE_PX
    return np.asarray(large & (real.annotations.visible[last] >= CLEAR))
