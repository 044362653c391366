"""Mean average precision of what a detector sees in the generated video."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import detect
from drivereplay.evaluation.boxes import overlaps
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

THRESHOLDS = np.arange(10, 20) / 20


def average_precision(true: NDArray[np.float64], found: NDArray[np.float64], least: float) -> float:
    """Area under the interpolated precision-recall curve at IoU ≥ `least`, sampled at 101 recalls as COCO does.

    Args:
        true: (N, 5), frame number and box.
        found: (M, 6), frame number, box, score.
    """
    taken = np.zeros(len(true), dtype=bool)
    hits = []
    for row in found[np.argsort(-found[:, 5], kind="stable")]:
        candidates = np.flatnonzero((true[:, 0] == row[0]) & ~taken)
        gain = overlaps(row[None, 1:5], true[candidates, 1:5])[0]
        hit = len(gain) > 0 and gain.max() >= least
        hits.append(hit)
        if hit:
            taken[candidates[gain.argmax()]] = True
    if not hits:
        return 0.0
    positives = np.cumsum(hits)
    recall, precision = positives / len(true), positives / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101))
    return float(np.where(at < len(envelope), envelope[np.minimum(at, len(envelope) - 1)], 0.0).mean())


class AgentsMap(ClipMetric):
    """COCO mAP at IoU .50:.05:.95 of detections in the generated video, those in the real one (score ≥ .6) as oracle.

    Sees objects from nowhere and objects that dissolve, whatever was annotated; classes are averaged. A clip in whose
    real future the detector is sure of nothing has no figure.
    """

    name = "agents.map"
    unit = "1"
    direction = "max"
    weights = ("yolov4-tiny",)
    horizon = False
    settings: ClassVar = {**detect.SETTINGS, "iou": ".50:.05:.95"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        curve = np.full(len(real.future), np.nan)
        curve[-1] = mean_average_precision(detect.detections(real), detect.detections(generated))
        return curve


def mean_average_precision(true: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Mean over classes and thresholds of two stacks of detections (D, 7); NaN where nothing in `true` is sure."""
    sure = true[true[:, 5] >= detect.SURE].astype(np.float64)
    found = found.astype(np.float64)
    figures = [
        average_precision(sure[sure[:, 6] == kind][:, :5], found[found[:, 6] == kind][:, :6], least)
        for kind in np.unique(sure[:, 6])
        for least in THRESHOLDS
    ]
    return float(np.mean(figures)) if figures else float("nan")
