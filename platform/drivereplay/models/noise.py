"""Noise that belongs to a sample, not to the batch it happens to be in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def seeded_noise(seeds: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Standard normal noise (len(seeds), *shape) float32 on the CPU; row i depends on `seeds[i]` alone.

    It is what diffusers' pipelines draw from `[torch.Generator().manual_seed(s) for s in seeds]`.
    """
    rows = [torch.randn((1, *shape), generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
    return torch.cat(rows)
