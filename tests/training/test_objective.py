"""Noise that belongs to a sample's number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from drivereplay.training.objective import fresh_numbers, sample_noise


def test_a_sample_has_its_noise_whatever_batch_it_is_in() -> None:
    noise, uniforms = sample_noise(7, np.arange(6), (2, 3))
    for row in range(6):
        alone, level = sample_noise(7, [row], (2, 3))
        assert torch.equal(alone[0], noise[row]) and level[0] == uniforms[row]


@pytest.mark.parametrize("other", [{"seed": 8}, {"samples": np.arange(6) + 6}])
def test_seeds_and_samples_differ(other: dict) -> None:
    given = {"seed": 7, "samples": np.arange(6), "shape": (4,)}
    first, second = sample_noise(**given), sample_noise(**{**given, **other})
    assert not torch.equal(first[0], second[0]) and not torch.equal(first[1], second[1])


def test_noise_is_standard_normal_and_levels_are_uniform() -> None:
    noise, uniforms = sample_noise(0, np.arange(4000), (16,))
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniforms.numpy(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(noise[:, 0], uniforms)[0, 1]) < 0.05
    assert noise.dtype == uniforms.dtype == torch.float32


def test_fresh_numbers_are_no_samples_of_a_plan() -> None:
    assert fresh_numbers(np.array([0, 5])).tolist() == [2**63, 2**63 + 5]
    assert not torch.equal(sample_noise(0, fresh_numbers(np.arange(2)), (4,))[0], sample_noise(0, [0, 1], (4,))[0])
