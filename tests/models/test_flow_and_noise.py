"""Flow matching's formulae, and noise of a seed."""

from __future__ import annotations

import pytest
import torch

from drivereplay.models.flow import shifted, velocity_loss
from drivereplay.models.noise import seeded_noise


def test_flow_shift_keeps_the_ends_and_moves_the_middle() -> None:
    uniforms = torch.tensor([0.0, 0.5, 1.0])
    assert shifted(uniforms, 3.0).tolist() == pytest.approx([0.0, 0.75, 1.0])
    assert torch.equal(shifted(uniforms, 1.0), uniforms)


def test_the_velocity_points_from_data_to_noise() -> None:
    latents, noise = torch.zeros(2, 1, 1, 2, 2), torch.ones(2, 1, 1, 2, 2)
    predicted = torch.stack([torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 3.0)])
    assert velocity_loss(predicted, latents, noise).tolist() == [0.0, 4.0]


def test_noise_is_what_the_pipelines_draw() -> None:
    from diffusers.utils.torch_utils import randn_tensor

    generators = [torch.Generator().manual_seed(seed) for seed in (4, 9)]
    theirs = randn_tensor((2, 3, 5), generator=generators, device=torch.device("cpu"), dtype=torch.float32)
    assert torch.equal(seeded_noise([4, 9], (3, 5)), theirs)
