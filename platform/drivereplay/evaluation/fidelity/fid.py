"""Fréchet inception distance of single frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance
from drivereplay.evaluation.metric import SetMetric

if TYPE_CHECKING:
    from drivereplay.evaluation.networks.inception import Inception


@cache
def _network() -> Inception:
    from drivereplay.evaluation.networks.inception import Inception
    from drivereplay.evaluation.weights import load

    network = Inception()
    network.load_state_dict(load("inception"), strict=True)
    return network.eval().requires_grad_(False)


class Fid(SetMetric):
    """Fréchet distance of Inception v3 features (2048) of future frames at 299²: ‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½)."""

    name = "fidelity.fid"
    unit = "1"
    direction = "min"
    weights = ("inception",)
    settings: ClassVar = {"frames": "future", "covariance": "1/(N-1)", "resize": "bilinear to 299, stretched"}
    least_clips = 2048
    blocks = 20
    biased = True

    def features(self, videos: Sequence[Footage]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            rows = [_network().features(torch.from_numpy(np.ascontiguousarray(v.future))).numpy() for v in videos]
        return np.stack(rows)

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return frechet_distance(real, generated)
