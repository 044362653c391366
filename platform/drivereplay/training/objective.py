"""Noise and noise levels that belong to a sample's number, so that its loss is the same on any number of workers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drivereplay.models.base import Conditions, VideoModel


def sample_noise(seed: int, samples: Sequence[int] | np.ndarray, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Noise and uniforms of samples, each from the counter-based generator Philox keyed by (seed, sample number).

    Args:
        seed: The experiment's seed.
        samples: (B,) global sample numbers.
        shape: Of one sample's latents (C, t, h, w).

    Returns:
        Standard normal noise (B, *shape) float32 and uniforms in [0, 1) (B,) float32, on the CPU.
    """
    noise = np.empty((len(samples), *shape), dtype=np.float32)
    uniforms = np.empty(len(samples), dtype=np.float32)
    for row, sample in enumerate(samples):
        key = np.array([seed % 2**64, int(sample)], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        uniforms[row] = generator.random(dtype=np.float32)
        generator.standard_normal(out=noise[row], dtype=np.float32)
    return torch.from_numpy(noise), torch.from_numpy(uniforms)


def dropped_conditions(seed: int, samples: Sequence[int] | np.ndarray, share: float) -> NDArray[np.bool_]:
    """Which samples (B,) are trained without condition; drawn by sample number as their noise, from another stream."""
    if not share:
        return np.zeros(len(samples), bool)
    streams = (np.array([seed % 2**64, int(sample)], dtype=np.uint64) for sample in samples)
    counter = [0, 0, 0, 1]  # far beyond what the noise of one sample uses
    draws = [np.random.Generator(np.random.Philox(key=key, counter=counter)).random() for key in streams]
    return np.array(draws) < share


def fresh_numbers(samples: np.ndarray) -> np.ndarray:
    """Numbers that no sample of the plan has, for noise that training does not use."""
    return samples.astype(np.uint64) + np.uint64(2**63)


class Objective(nn.Module):
    """The loss as a module, so that DDP, FSDP and torch.compile can wrap one forward pass.

    Its parameters are the denoiser's own: training it trains the model.
    """

    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.denoiser = model.module
        self._model = [model]  # in a list, so that it is not taken for a submodule

    def forward(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor]:
        """Loss of each sample (B,) float32, and the denoiser's raw output (B, C, t, h, w)."""
        model = self._model[0]
        predicted = model.predict(latents, noise, levels, conditions)
        return model.loss_of(predicted, latents, noise, levels, conditions), predicted
