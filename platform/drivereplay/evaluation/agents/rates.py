"""Objects that are missing from the generated video, and objects that should not be in it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import RULE, centres, half_hidden, real_tracks
from drivereplay.evaluation.estimators import anchored, background, band
from drivereplay.evaluation.flow import dominant_motion
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric
from drivereplay.evaluation.pseudo import moving_regions

IOU = 0.3
COVERED = 0.5
"""A moving region has a counterpart where so much of it is covered by what the real video shows there."""
EXTRA = {"extra": "moving regions", "covered": COVERED}


def agree(true: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether boxes (F, N, 4) of the same identity agree: IoU ≥ 0.3 and centres nearer than the longer side; (F, N)."""
    inner = np.clip(np.minimum(true[..., 2:], found[..., 2:]) - np.maximum(true[..., :2], found[..., :2]), 0, None)
    sides, others = true[..., 2:] - true[..., :2], found[..., 2:] - found[..., :2]
    shared = inner.prod(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = shared / (sides.prod(-1) + others.prod(-1) - shared)
    near = np.linalg.norm(centres(true) - centres(found), axis=-1) < sides.max(-1)
    return np.asarray((iou >= IOU) & near)


class MissingRate(ClipMetric):
    """Share of visible object-frames whose object is not found there (IoU ≥ 0.3, centre nearer than the longer side).

    Found is what is seen: an object that nothing in the generated frame looks like is missing, so that a blank video
    has 1. One-sided: a video with too many objects misses none.
    """

    name = "agents.missing_rate"
    auc = (0.94, 0.87)
    unit = "share"
    direction = "min"
    needs = frozenset({"boxes"})
    one_sided = True
    bounds = (0.0, 1.0)
    settings: ClassVar = {**anchored.SETTINGS, **RULE, "iou": IOU, "counted": "object-frames"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true = real_tracks(real)
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(true).all(-1))
        return _share(seen & ~agree(true, anchored.tracks(real, generated)), seen)


class HallucinatedRate(ClipMetric):
    """Share of the objects and moving regions in the generated frames that the real video does not show there.

    Counted in each frame: found objects that do not agree with the real one, and regions that move against the
    dominant motion where the real video has neither an annotated object nor a moving region. No detector is needed.
    One-sided: an empty video has 0.
    """

    name = "agents.hallucinated_rate"
    auc = (0.9, 0.82)
    unit = "share"
    direction = "min"
    needs = frozenset({"boxes"})
    one_sided = True
    bounds = (0.0, 1.0)
    settings: ClassVar = {**background.SETTINGS, **RULE, **EXTRA, "iou": IOU, "counted": "object-frames"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true, found = real_tracks(real), anchored.tracks(real, generated)
        present = np.isfinite(found).all(-1) & ~half_hidden(real)
        wrong = present & ~agree(true, found)
        extra = extra_regions(real, generated)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((wrong.sum(1) + extra) / (present.sum(1) + extra))


def extra_regions(real: Footage, generated: Footage) -> NDArray[np.int64]:
    """Number (F,) of moving regions in each step of the generated video without a counterpart in the real one."""
    if generated is real:
        return np.zeros(len(real.future), dtype=np.int64)
    assert real.annotations is not None
    flows = background.common_flow(real, generated)
    shape, scale = flows[0].shape[1:3], band.working_scale(real.frames.shape)
    boxes = real.annotations.boxes_px.astype(np.float64) * scale
    extra = np.zeros(len(flows[0]), dtype=np.int64)
    for t, (true, made) in enumerate(zip(*flows, strict=True)):
        regions = [moving_regions(flow - dominant_motion(flow)) for flow in (made, true)]
        if not len(regions[0]):
            continue
        # objects of both frames of the step: a flow's region reaches from where a thing was to where it goes
        known = np.concatenate([boxes[real.context + t - 1], boxes[real.context + t], regions[1]])
        mask = np.zeros(shape, dtype=bool)
        for box in known[np.isfinite(known).all(-1)]:
            mask[_slices(box)] = True
        extra[t] = sum(mask[_slices(box)].mean() < COVERED for box in regions[0])
    return extra


def _slices(box: NDArray[np.float64]) -> tuple[slice, slice]:
    x1, y1, x2, y2 = box
    return slice(max(int(y1), 0), max(int(np.ceil(y2)), 0)), slice(max(int(x1), 0), max(int(np.ceil(x2)), 0))


def _share(failed: NDArray[np.bool_], asked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share (F,) of objects that failed among those asked for; NaN where none is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(failed.sum(1) / asked.sum(1))
