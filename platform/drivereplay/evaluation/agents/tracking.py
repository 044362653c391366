"""Overlap and identity figures of the followed boxes: IoU, IDF1 and HOTA."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import IGNORED, RULE, assigned, half_hidden, overlaps, real_tracks
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

ALPHAS = np.arange(1, 20) / 20


def mean_iou(true: NDArray[np.float64], found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ IoU of Hungarian matches over the number of real boxes, for each frame (F,); NaN without real boxes."""
    curve = np.full(len(true), np.nan)
    for t, (a, b) in enumerate(_frames(true, found)):
        if len(a):
            gain = overlaps(a, b)
            rows, columns = assigned(gain, 1e-9)
            curve[t] = gain[rows, columns].sum() / len(a)
    return curve


def idf1(true: NDArray[np.float64], found: NDArray[np.float64], least: float = 0.5) -> float:
    """IDTP / (IDTP + ½ IDFP + ½ IDFN) (Ristani et al., 2016) of tracks (F, N, 4) and (F, M, 4).

    NaN where a box is absent, and as the result where there are none. The identity assignment is the one with the most
    true positives at IoU ≥ `least`.
    """
    from scipy.optimize import linear_sum_assignment

    matches = np.zeros((true.shape[1], found.shape[1]))
    for a, b in zip(true, found, strict=True):
        matches += overlaps(a, b) >= least
    rows, columns = linear_sum_assignment(matches, maximize=True)
    boxes = np.isfinite(true).all(-1).sum() + np.isfinite(found).all(-1).sum()
    return float(2 * matches[rows, columns].sum() / boxes) if boxes else float("nan")


def hota(true: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Mean over α of √(DetA·AssA) (Luiten et al., IJCV 2021) of tracks (F, N, 4) and (F, M, 4), NaN where absent.

    As in the paper's reference: frames are matched by Hungarian assignment on similarity plus a global alignment score
    that prefers the pair of identities that overlap most over the whole sequence. NaN where there are no boxes at all.
    """
    n, m = true.shape[1], found.shape[1]
    has_true, has_found = np.asarray(np.isfinite(true).all(-1)), np.asarray(np.isfinite(found).all(-1))
    count_true, count_found = has_true.sum(0).astype(float), has_found.sum(0).astype(float)
    if count_true.sum() + count_found.sum() == 0:
        return float("nan")
    if count_true.sum() == 0 or count_found.sum() == 0:
        return 0.0
    similarity = np.stack([overlaps(a, b) for a, b in zip(true, found, strict=True)])
    total = similarity.sum(2, keepdims=True) + similarity.sum(1, keepdims=True) - similarity
    potential = np.where(total > 1e-9, similarity / np.maximum(total, 1e-9), 0).sum(0)
    union = count_true[:, None] + count_found[None] - potential
    alignment = np.where(union > 0, potential / np.maximum(union, 1e-9), 0)
    matches = np.zeros((len(ALPHAS), n, m))
    for t in range(len(true)):
        rows, columns = np.flatnonzero(has_true[t]), np.flatnonzero(has_found[t])
        if not (len(rows) and len(columns)):
            continue
        here = np.ix_(rows, columns)
        best_rows, best_columns = assigned(alignment[here] * similarity[t][here], 1e-12)
        pairs = rows[best_rows], columns[best_columns]
        matches[:, pairs[0], pairs[1]] += similarity[t][pairs][None] >= ALPHAS[:, None] - 1e-9
    scores = []
    for found_pairs in matches:
        hits = found_pairs.sum()
        detection = hits / (count_true.sum() + count_found.sum() - hits)
        shared = count_true[:, None] + count_found[None] - found_pairs
        association = (found_pairs * np.where(shared > 0, found_pairs / np.maximum(shared, 1), 0)).sum() / max(hits, 1)
        scores.append(np.sqrt(detection * association))
    return float(np.mean(scores))


def _frames(
    true: NDArray[np.float64], found: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The boxes that are there, frame by frame."""
    return [(a[np.isfinite(a).all(-1)], b[np.isfinite(b).all(-1)]) for a, b in zip(true, found, strict=True)]


def _tracks(real: Footage, generated: Footage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return real_tracks(real), anchored.tracks(real, generated)


def _judged_tracks(real: Footage, generated: Footage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The tracks without followed boxes of which nothing is asked, which would count as false ones."""
    true, found = _tracks(real, generated)
    return true, np.where(half_hidden(real)[..., None], np.nan, found)


def _last(value: float, frames: int) -> NDArray[np.float64]:
    curve = np.full(frames, np.nan)
    curve[-1] = value
    return curve


class AgentsIou(ClipMetric):
    """Σ IoU of matched boxes over the number of real boxes, matched frame by frame (Hungarian)."""

    name = "agents.iou"
    auc = (0.93, 0.91)
    unit = "1"
    direction = "max"
    needs = frozenset({"boxes"})
    settings: ClassVar = {**anchored.SETTINGS, **RULE}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return mean_iou(*_tracks(real, generated))


class AgentsIdf1(ClipMetric):
    """IDF1 = IDTP / (IDTP + ½ IDFP + ½ IDFN) at IoU ≥ 0.5 of the followed boxes against the real tracks."""

    name = "agents.idf1"
    auc = (0.92, 0.87)
    unit = "1"
    direction = "max"
    needs = frozenset({"boxes"})
    horizon = False
    settings: ClassVar = {**anchored.SETTINGS, **RULE, **IGNORED, "iou": 0.5}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return _last(idf1(*_judged_tracks(real, generated)), len(real.future))


class AgentsHota(ClipMetric):
    """HOTA, the mean over α = .05 … .95 of √(DetA·AssA), of the followed boxes against the real tracks."""

    name = "agents.hota"
    auc = (0.94, 0.89)
    unit = "1"
    direction = "max"
    needs = frozenset({"boxes"})
    horizon = False
    settings: ClassVar = {**anchored.SETTINGS, **RULE, **IGNORED, "alphas": ".05:.05:.95"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return _last(hota(*_judged_tracks(real, generated)), len(real.future))
