"""Peak signal-to-noise ratio."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

CAP_DB = 100.0
"""Identical frames have no finite ratio; they count as this."""


class Psnr(ClipMetric):
    """10·log10(255² / MSE) of each future RGB frame against the real one, at most 100 dB."""

    name = "fidelity.psnr"
    unit = "dB"
    direction = "max"
    settings: ClassVar = {"range": 255, "channels": "RGB", "cap_db": CAP_DB, "reduce": "mean of frames"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        difference = real.future.astype(np.float64) - generated.future.astype(np.float64)
        mse = (difference**2).mean(axis=(1, 2, 3))
        with np.errstate(divide="ignore"):
            return np.minimum(10 * np.log10(255.0**2 / mse), CAP_DB)
