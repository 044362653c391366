"""Learned perceptual similarity."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

if TYPE_CHECKING:
    from drivereplay.evaluation.networks.lpips import Lpips

LEAST_SIDE = 31


@cache
def _network() -> Lpips:
    from drivereplay.evaluation.networks.lpips import Lpips
    from drivereplay.evaluation.weights import load

    network = Lpips()
    network.load_state_dict(load("lpips"), strict=True)
    return network.eval().requires_grad_(False)


class LpipsDistance(ClipMetric):
    """LPIPS 0.1, AlexNet (Zhang et al., CVPR 2018) of each future frame against the real one, at the clip's size."""

    name = "fidelity.lpips"
    unit = "1"
    direction = "min"
    weights = ("lpips",)
    settings: ClassVar = {"version": "0.1", "network": "alexnet", "range": "[-1, 1]", "resize": "none"}

    def refuses(self, real: Footage) -> str | None:
        height, width = real.frames.shape[1:3]
        if min(height, width) >= LEAST_SIDE:
            return None
        return f"AlexNet needs {LEAST_SIDE} px on each side, the clips are {width}x{height}"

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            pair = [torch.from_numpy(f.future.copy()).permute(0, 3, 1, 2) / 127.5 - 1 for f in (real, generated)]
            return np.asarray(_network()(*pair).numpy(), dtype=np.float64)
