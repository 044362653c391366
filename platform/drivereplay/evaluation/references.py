"""The rows every report holds beside the model's own: what an estimator says of videos whose quality is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.flow import dense_flow, warp
from drivereplay.evaluation.footage import Footage

REAL, FROZEN, CONSTANT_MOTION, RECONSTRUCTION = "real", "frozen", "constant-motion", "reconstruction"


def rows(real: Footage) -> dict[str, Footage]:
    """The reference videos of a real clip.

    `real` is the real future itself (the estimators' noise floor), `frozen` repeats the last context frame,
    `constant-motion` moves it on by the last context flow; the last needs two context frames.
    """
    last = real.frames[real.context - 1]
    future = len(real.frames) - real.context
    head = real.frames[: real.context]
    made = {REAL: real, FROZEN: real.with_frames(np.concatenate([head, np.repeat(last[None], future, axis=0)]))}
    if real.context >= 2:
        made[CONSTANT_MOTION] = real.with_frames(np.concatenate([head, _extrapolated(real, future)]))
    return made


def _extrapolated(real: Footage, future: int) -> NDArray[np.uint8]:
    """Each future frame samples the last given one along t times the backward flow of the last given step."""
    grey = real.grey
    backward = dense_flow(grey[real.context - 1], grey[real.context - 2])
    return np.stack([warp(real.frames[real.context - 1], backward * t) for t in range(1, future + 1)])
