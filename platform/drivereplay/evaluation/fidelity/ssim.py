"""Structural similarity."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

SIGMA = 1.5
WINDOW = 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Ssim(ClipMetric):
    """Structural similarity (Wang et al., 2004) of each future frame: Gaussian σ 1.5, range 255, mean over RGB."""

    name = "fidelity.ssim"
    unit = "1"
    direction = "max"
    settings: ClassVar = {
        "sigma": SIGMA,
        "window": WINDOW,
        "k1": 0.01,
        "k2": 0.03,
        "range": 255,
        "channels": "RGB",
        "border": "reflected",
    }

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return np.array([ssim(a, b) for a, b in zip(real.future, generated.future, strict=True)])


def ssim(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Mean SSIM of two pictures (H, W, 3) uint8 over all pixels, borders reflected."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    values = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    values /= (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
    return float(values.mean())


def _blur(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(picture, (WINDOW, WINDOW), SIGMA, borderType=cv2.BORDER_REFLECT_101))
