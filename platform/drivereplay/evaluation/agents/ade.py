"""Displacement of the objects."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import RULE, centres, real_tracks
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

PENALTY = 0.5
"""Distance of an object that is gone, in image diagonals; larger ones of found objects count as this."""


def displacement(real: Footage, generated: Footage) -> NDArray[np.float64]:
    """Distance (F, N) of found centres from the real ones, in image diagonals; NaN where the real one is unseen."""
    true = real_tracks(real)
    found = anchored.tracks(real, generated)
    distance = np.linalg.norm(centres(true) - centres(found), axis=-1) / real.diagonal_px
    lost = np.isnan(found).any(-1)
    return np.where(np.isnan(true).any(-1), np.nan, np.where(lost, PENALTY, np.minimum(distance, PENALTY)))


class AgentsAde(ClipMetric):
    """Mean distance of box centres, real against generated, where the real object is visible; a lost one counts 0.5."""

    name = "agents.ade"
    auc = (0.92, 0.92)
    unit = "diagonal"
    direction = "min"
    needs = frozenset({"boxes"})
    bounds = (0.0, PENALTY)
    settings: ClassVar = {**anchored.SETTINGS, **RULE, "penalty": PENALTY}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return _known_mean(displacement(real, generated))


class AgentsFde(ClipMetric):
    """Mean over objects of the distance of box centres in each one's last visible frame; a lost one counts 0.5."""

    name = "agents.fde"
    auc = (0.91, 0.93)
    unit = "diagonal"
    direction = "min"
    needs = frozenset({"boxes"})
    bounds = (0.0, PENALTY)
    horizon = False
    settings: ClassVar = {**AgentsAde.settings, "mean": "over objects"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        distance = displacement(real, generated)
        seen = np.isfinite(distance)
        objects = np.flatnonzero(seen.any(0))
        last = len(distance) - 1 - seen[::-1].argmax(0)[objects]
        curve = np.full(len(distance), np.nan)
        if len(objects):
            curve[-1] = distance[last, objects].mean()
        return curve


def _known_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over objects (F,) of what is not NaN."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(1) / known.sum(1))
