"""Objects that are missing from the generated video, and objects that should not be in it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import follow
from drivereplay.evaluation.boxes import IGNORED, RULE, centres, half_hidden, real_tracks
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

IOU, RUN = 0.3, 5


def agree(true: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes (F, N, 4) of the same identity agree: IoU ≥ 0.3 and centres nearer than the longer side; (F, N)."""
    inner = np.clip(np.minimum(true[..., 2:], found[..., 2:]) - np.maximum(true[..., :2], found[..., :2]), 0, None)
    sides, others = true[..., 2:] - true[..., :2], found[..., 2:] - found[..., :2]
    shared = inner.prod(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = shared / (sides.prod(-1) + others.prod(-1) - shared)
    near = np.linalg.norm(centres(true) - centres(found), axis=-1) < sides.max(-1)
    return np.asarray((iou >= IOU) & near)


def longest_run(flags: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Longest run of consecutive true flags (F, N) → (N,), over the frames that are counted; others break a run."""
    longest = np.zeros(flags.shape[1], dtype=np.int64)
    run = np.zeros_like(longest)
    for row in flags & counted:
        run = np.where(row, run + 1, 0)
        longest = np.maximum(longest, run)
    return longest


def _share(failed: NDArray[np.bool_], asked: NDArray[np.bool_], frames: int) -> NDArray[np.float64]:
    curve = np.full(frames, np.nan)
    if asked.any():
        curve[-1] = failed[asked].mean()
    return curve


class MissingRate(ClipMetric):
    """Share of real tracks whose object is not found (IoU ≥ 0.3, centre nearer than the longer side) 5 frames running.

    A real track that is never visible for 5 frames running has to be found for as many as it is at its longest.
    """

    name = "agents.missing_rate"
    unit = "share"
    direction = "min"
    needs = frozenset({"boxes"})
    horizon = False
    settings: ClassVar = {**follow.SETTINGS, **RULE, "iou": IOU, "run": RUN, "shorter": "longest visible run"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true = real_tracks(real)
        found = follow.tracks(generated)[real.context :]
        seen = np.asarray(np.isfinite(true).all(-1))
        needed = np.minimum(RUN, longest_run(seen, seen))
        missing = longest_run(agree(true, found), seen) < needed
        return _share(missing, needed > 0, len(true))


class HallucinatedRate(ClipMetric):
    """Share of followed objects that stay in the generated video 5 frames running where the real one is not.

    The other way round from `agents.missing_rate`: a track of the generated video without a real counterpart (same
    identity, IoU ≥ 0.3, centre nearer than the longer side). Frames in which the real object is annotated but less than
    half of it is seen do not count, and break a run. A track without 5 frames running that count is hallucinated if it
    has no counterpart for as many as its longest run. Only objects known at the start have tracks; things that appear
    from nowhere need a detector (`agents.map`).
    """

    name = "agents.hallucinated_rate"
    unit = "share"
    direction = "min"
    needs = frozenset({"boxes"})
    horizon = False
    settings: ClassVar = {**follow.SETTINGS, **RULE, **IGNORED, "iou": IOU, "run": RUN}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true = real_tracks(real)
        found = follow.tracks(generated)[real.context :]
        present = np.asarray(np.isfinite(found).all(-1) & ~half_hidden(real))
        needed = np.minimum(RUN, longest_run(present, present))
        without = longest_run(~agree(true, found), present) >= np.maximum(needed, 1)
        return _share(without, needed > 0, len(true))
