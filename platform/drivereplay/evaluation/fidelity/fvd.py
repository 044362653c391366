"""Fréchet and kernel video distances on I3D."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance, polynomial_mmd
from drivereplay.evaluation.metric import SetMetric

if TYPE_CHECKING:
    from drivereplay.evaluation.networks.i3d import I3D

LEAST_FRAMES = 10


@cache
def _network() -> I3D:
    from drivereplay.evaluation.networks.i3d import I3D
    from drivereplay.evaluation.weights import load

    network = I3D()
    network.load_state_dict(load("i3d"), strict=True)
    return network.eval().requires_grad_(False)


def i3d_features(videos: Sequence[Footage]) -> NDArray[np.float32]:
    """Logits (N, 400) of the future frames."""
    import torch

    with torch.inference_mode():
        for video in videos:
            # one at a time: at 224 × 224 a batch of long clips would take gigabytes
            if "i3d" not in video.estimates:
                frames = torch.from_numpy(np.ascontiguousarray(video.future)[None])
                video.estimates["i3d"] = _network().features(frames)[0].numpy()
    return np.stack([v.estimates["i3d"] for v in videos])


class _OnI3D(SetMetric):
    unit = "1"
    direction = "min"
    weights = ("i3d",)

    def refuses(self, real: Footage) -> str | None:
        count = len(real.future)
        return None if count >= LEAST_FRAMES else f"I3D needs {LEAST_FRAMES} future frames, the clips have {count}"

    def features(self, videos: Sequence[Footage]) -> NDArray[np.float32]:
        return i3d_features(videos)[:, None]


class Fvd(_OnI3D):
    """Fréchet distance of I3D (Kinetics-400) logits of the future frames: ‖μ1−μ2‖² + tr(Σ1+Σ2−2(Σ1Σ2)^½)."""

    name = "fidelity.fvd"
    settings: ClassVar = {"frames": "future", "covariance": "1/(N-1)", "resize": "bilinear to 224, stretched"}
    least_clips = 400
    blocks = 100
    biased = True

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return frechet_distance(real, generated)


class Kvd(_OnI3D):
    """Unbiased polynomial MMD², k(x, y) = (x·y/d+1)³, on I3D logits: the check of fvd where clips are few."""

    name = "fidelity.kvd"
    settings: ClassVar = {
        "frames": "future",
        "kernel": "(x.y/d+1)^3, unbiased, without (i, i)",
        "resize": "bilinear to 224, stretched",
    }
    least_clips = 16

    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        return polynomial_mmd(real, generated)
