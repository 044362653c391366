"""Noise that belongs to a sample, not to the batch it happens to be in."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch
from torch import Tensor


def seeded_noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Standard normal noise (len(seeds), *shape) float32 on the CPU; row i depends on `seeds[i]` alone.

    It is what diffusers' pipelines draw from `[torch.Generator().manual_seed(s) for s in seeds]`.
    """
    rows = [torch.randn((1, *shape), generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return torch.cat(rows)


def image_noise(image: Tensor, strength: float | tuple[float, float]) -> tuple[Tensor, float]:
    """Noise σ·ε (3, H, W) that belongs to an image (H, W, 3) uint8: its condition is the same wherever it is seen.

    Args:
        image: On the CPU.
        strength: σ, or mean and deviation of a normal ln σ.

    Returns:
        The noise, and σ.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(image.numpy().tobytes()))
    noise = torch.randn(3, *image.shape[:2], generator=generator)
    if isinstance(strength, tuple):
        mean, deviation = strength
        strength = float((mean + deviation * torch.randn((), generator=generator)).exp())
    return strength * noise, strength
