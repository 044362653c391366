"""An autoencoder that starts at the best linear one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from drivereplay.training.pretrain.autoencoder import AutoencoderRecipe, build
from drivereplay.training.pretrain.principal import start_at_principal_components


def coloured_frames(count: int, seed: int = 0) -> torch.Tensor:
    """Smooth random pictures (N, 3, 1, 32, 32) in [-1, 1]: neighbouring pixels are alike, as in real ones."""
    coarse = torch.randn(count, 3, 5, 5, generator=torch.Generator().manual_seed(seed)) * 0.5
    return torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic").clamp(-1, 1)[:, :, None]


@pytest.fixture(scope="module")
def started() -> tuple[object, torch.Tensor]:
    vae = build(AutoencoderRecipe(data="", channels=10, base_dim=32))
    return vae, start_at_principal_components(vae, coloured_frames(64))


def test_it_reconstructs_as_the_projection_on_the_components_does(started: tuple[object, torch.Tensor]) -> None:
    vae, _ = started
    frames = coloured_frames(16, seed=1)
    with torch.no_grad():
        made = vae.decode(vae.encode(frames).latent_dist.mode()).sample  # type: ignore[attr-defined]
    blocks = coloured_frames(64).reshape(64, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 48).numpy()
    mean = blocks.mean(axis=0)
    axes = np.linalg.eigh(np.cov((blocks - mean).T))[1][:, ::-1][:, :10]
    test = frames.reshape(16, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 48).numpy() - mean
    linear = float(((test - test @ axes @ axes.T) ** 2).mean())
    error = float((made - frames).square().mean())
    # the constants make the norm nearly, not exactly, linear
    assert error < linear + 2e-3


def test_deviations_are_those_of_the_components_loudest_first(started: tuple[object, torch.Tensor]) -> None:
    _, deviations = started
    assert len(deviations) == 10
    assert (deviations[:-1] >= deviations[1:]).all()
    blocks = coloured_frames(64).reshape(64, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, 48).numpy()
    assert float(deviations[0]) == pytest.approx(np.sqrt(np.linalg.eigvalsh(np.cov(blocks.T))[-1]), rel=1e-3)
