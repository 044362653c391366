"""Noise levels against the trainers that they come from and against scipy's distributions."""

from __future__ import annotations

import numpy as np
import pydantic
import pytest
import scipy.stats
import torch
from tests.models.helpers import spec_of

from drivereplay.models import load_model
from drivereplay.models.levels import Levels
from drivereplay.spec import NoiseLevelsSpec, TrainingSpec

UNIFORMS = (torch.arange(20_000) + 0.5) / 20_000


def test_ltx_draws_as_its_trainer() -> None:
    """At 4,576 tokens, 97 frames of 704 × 512, 1.3 % of the trainer's σ are below .5."""
    model = load_model(spec_of("random", "ltx", width=64))
    sigma = model.noise_levels(UNIFORMS, (128, 13, 16, 22)).double()
    mean = 0.95 + (2.05 - 0.95) * (4576 - 1024) / (4096 - 1024)
    assert float((sigma < 0.5).double().mean()) == pytest.approx(scipy.stats.norm.cdf(-mean), abs=2e-4)
    assert float((sigma < 0.5).double().mean()) == pytest.approx(0.013, abs=5e-4)
    logits = torch.logit(sigma)
    assert float(logits.mean()) == pytest.approx(mean, abs=2e-3) and float(logits.std()) == pytest.approx(1, abs=5e-3)
    # a smaller clip of the same model is trained on less noise
    assert model.noise_levels(UNIFORMS, (128, 2, 16, 22)).mean() < sigma.mean() - 0.05


@pytest.mark.parametrize("shift", [1.0, 3.0, {1024: 2.0, 4096: 8.0}])
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_shares_of_noise_follow_the_formula(distribution: str, shift: float | dict[int, float]) -> None:
    levels = Levels(distribution, 0.3, 1.2, shift)  # type: ignore[arg-type]
    s = shift if isinstance(shift, float) else 4.0  # 2048 tokens lie half-way in ln s only at the geometric mean of s
    tokens = 2560  # the middle of 1024 and 4096
    found = levels.times(UNIFORMS, tokens).double().numpy()
    u = UNIFORMS.double().numpy()
    t = u if distribution == "uniform" else 1 / (1 + np.exp(-(0.3 + 1.2 * scipy.stats.norm.ppf(u))))
    np.testing.assert_allclose(found, s * t / (1 + (s - 1) * t), atol=1e-6)
    sigma = levels.sigmas(UNIFORMS, tokens).double().numpy()
    np.testing.assert_allclose(sigma / (1 + sigma), found, atol=1e-6)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_bounds_take_a_part_of_the_distribution(distribution: str) -> None:
    """Rejection of draws outside is the same distribution."""
    whole = Levels(distribution, 0.0, 1.0, 5.0)  # type: ignore[arg-type]
    part = Levels(distribution, 0.0, 1.0, 5.0, (0.9, 1.0))  # type: ignore[arg-type]
    kept = whole.times(UNIFORMS, 1)
    kept = kept[kept >= 0.9]
    found = part.times(UNIFORMS, 1)
    assert found.min() >= 0.9 - 1e-6
    assert scipy.stats.ks_2samp(kept.numpy(), found.numpy()).statistic < 0.01


@pytest.mark.parametrize("family", ["wan", "svd", "ltx", "cogvideox", "cosmos"])
def test_an_experiment_decides_on_every_family(family: str) -> None:
    clip = {"svd": {"frames": 2}, "ltx": {"width": 64}, "wan": {"frames": 8, "context": 2}}.get(family, {})
    model = load_model(spec_of("random", family, **clip))
    shape = (4, 3, 4, 8)
    before = model.noise_levels(UNIFORMS, shape)
    model.training = TrainingSpec(
        noise_levels=NoiseLevelsSpec(distribution="edm", mean=-1.0, std=0.5, shift=1.0), batch_size=1
    )
    after = model.noise_levels(UNIFORMS, shape)
    assert after.mean() < before.mean()
    if family in ("wan", "ltx"):
        assert float(torch.logit(after.double()).mean()) == pytest.approx(-1.0, abs=2e-3)
    if family == "svd":
        assert float(after.double().log().std()) == pytest.approx(0.5, abs=2e-3)


def test_contradictions_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="uniform distribution has no"):
        NoiseLevelsSpec(distribution="uniform", mean=1.0)
    with pytest.raises(pydantic.ValidationError, match="latent tokens"):
        NoiseLevelsSpec(shift={})
