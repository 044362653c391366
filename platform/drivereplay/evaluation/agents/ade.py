"""Displacement of the followed objects."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import follow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

PENALTY = 0.5
"""Distance of an object that is gone, in image diagonals; larger ones of found objects count as this."""


def displacement(real: Footage, generated: Footage) -> NDArray[np.float64]:
    """Distance (F, N) of followed centres from the real ones, in image diagonals; NaN where the real one is unseen.

    Only objects known in the last context frame count: only those can be asked for.
    """
    assert real.annotations is not None
    true = real.annotations.boxes_px[real.context :].astype(np.float64)
    found = follow.tracks(generated)[real.context :].astype(np.float64)
    distance = np.linalg.norm(_centres(true) - _centres(found), axis=-1) / real.diagonal_px
    distance = np.where(np.isnan(distance), PENALTY, np.minimum(distance, PENALTY))
    known = np.isfinite(real.annotations.boxes_px[real.context - 1]).all(-1)
    seen = np.isfinite(true).all(-1) & (real.annotations.visible[real.context :] > 0) & known
    return np.where(seen, distance, np.nan)


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


class AgentsAde(ClipMetric):
    """Mean distance of box centres, real against generated, where the real object is visible; a lost one counts 0.5."""

    name = "agents.ade"
    unit = "diagonal"
    direction = "min"
    needs = frozenset({"boxes"})
    settings: ClassVar = {**follow.SETTINGS, "penalty": PENALTY}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        distance = displacement(real, generated)
        known = np.isfinite(distance)
        total = np.where(known, distance, 0).sum(1)
        with np.errstate(invalid="ignore"):
            return total / known.sum(1)
