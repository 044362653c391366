"""Sharpness relative to the real future."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

FLOOR = 1.0
"""Added to the energy on both sides, so that a blank real picture gives no infinite ratio."""


class Sharpness(ClipMetric):
    """|ln(E_generated / E_real)|, E the variance of the Laplacian of each future frame: 0 is as sharp as real."""

    name = "fidelity.sharpness"
    unit = "|ln ratio|"
    direction = "min"
    settings: ClassVar = {"laplacian": "3x3 on luma", "floor": FLOOR}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return np.abs(np.log(_energy(generated) / _energy(real)))


def _energy(footage: Footage) -> NDArray[np.float64]:
    def make() -> NDArray[np.float64]:
        pictures = footage.grey[footage.context :]
        return np.array([cv2.Laplacian(p, cv2.CV_64F).var() for p in pictures]) + FLOOR

    return footage.estimate("laplacian_energy", make)
