"""Fréchet and kernel distances on the video encoder that ships with the project; never to be compared with I3D's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance, polynomial_mmd
from drivereplay.evaluation.metric import SetMetric


class _OnWorldsEncoder(SetMetric):
    unit = "1"
    direction = "min"

    def unavailable(self) -> str | None:
        from drivereplay.evaluation.features import SHIPPED, shipped_sha256

        return None if shipped_sha256() else f"the shipped video encoder is missing from {SHIPPED}"

    def protocol(self) -> dict[str, Any]:
        from drivereplay.evaluation.features import shipped_sha256

        return {**self.settings, "weights": {"worlds-encoder": shipped_sha256()}}

    def features(self, videos: Sequence[Footage]) -> NDArray[np.float32]:
        from drivereplay.evaluation.features import worlds_features

        todo = [v for v in videos if "worlds_features" not in v.estimates]
        if todo:
            for video, row in zip(todo, worlds_features([v.future for v in todo]), strict=True):
                video.estimates["worlds_features"] = row
        return np.stack([v.estimates["worlds_features"] for v in videos])[:, None]


class FvdWorlds(_OnWorldsEncoder):
    """Fréchet distance of the shipped encoder's features of the future frames: ‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½)."""

    name = "fidelity.fvd_worlds"
    settings: ClassVar = {"frames": "future", "covariance": "1/(N-1)", "resize": "area"}
    least_clips = 128
    biased = True

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return frechet_distance(real, generated)


class KvdWorlds(_OnWorldsEncoder):
    """Unbiased polynomial MMD², k(x, y) = (x·y/d+1)³, on the same features: the check of fvd_worlds for few clips."""

    name = "fidelity.kvd_worlds"
    settings: ClassVar = {"frames": "future", "kernel": "(x.y/d+1)^3, unbiased, without (i, i)", "resize": "area"}
    least_clips = 16

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return polynomial_mmd(real, generated)
