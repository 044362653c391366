"""How wrong the motion of the background is, as a share of the real one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.estimators.background import SETTINGS, background
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

WORST = 2.0
"""Most that a frame can cost, as much as a step backwards; what one costs in which nothing can be seen."""
FLOOR = 0.002
"""Share of the diagonal that the background moves in a step at least, for what is smaller to be divided by."""


class EgoMotionError(ClipMetric):
    """Error of the background's image motion over the real one: 0 is right, 1 as wrong as a frozen video, at most 2.

    Each step of the real video, and the difference between the two videos, is an affine field over the background
    (`estimators.background`). The figure of future frame t is the mean of two: the length of the difference in the step
    into t over the mean length of the real steps, and the length of the differences summed up to t over the mean length
    of the real sums. Lengths are root mean squares over the frame. The first part sees a shaken camera, the second one
    that is in the wrong place. A step in which the generated background shows nothing costs 2, and so does every later
    sum. A real camera that stands still counts as moving by .2 % of the diagonal per step.
    """

    name = "ego.motion_error"
    auc = (0.99, 1.0)
    unit = "share"
    direction = "min"
    bounds = (0.0, WORST)
    settings: ClassVar = {**SETTINGS, "worst": WORST, "floor": FLOOR}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        motion = background(real, generated)
        known: NDArray[np.bool_] = np.asarray(np.isfinite(motion.real).all((1, 2)))
        if not known.any():
            return np.full(len(known), np.nan)
        floor = FLOOR * motion.diagonal_px
        true = np.where(known[:, None, None], motion.real, 0.0)
        wrong = np.where(known[:, None, None], motion.difference, 0.0)
        step = _length(wrong) / max(float(_length(true)[known].mean()), floor)
        # steps in which nothing is seen leave the sum unknown from there on
        path = _length(np.cumsum(wrong, axis=0)) / max(float(_length(np.cumsum(true, axis=0)).mean()), floor)
        costs = [np.minimum(np.where(np.isfinite(part), part, WORST), WORST) for part in (step, path)]
        return np.where(known, np.mean(costs, axis=0), np.nan)


def _length(fields: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square length (F,) of fields (F, C, 2)."""
    return np.asarray(np.sqrt((fields**2).sum(-1).mean(-1)))
