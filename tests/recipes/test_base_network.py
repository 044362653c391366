"""The recipe's forward pass is that of the stock denoiser, which generates with the weights afterwards."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from diffusers import WanTransformer3DModel

from drivereplay.models.base import Conditions
from drivereplay.models.wan import Wan


@pytest.fixture(scope="module")
def model(script: Callable[[str], ModuleType]) -> Wan:
    recipe = script("recipe")
    made: Wan = recipe.new_model(recipe.load_recipe(), "quarter")
    return made


def batch(model: Wan) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    shape = (3, model.config.in_channels, 8, 8, 12)
    return torch.randn(shape), torch.randn(shape), torch.tensor([1.0, 0.61, 0.08])


def test_loss_and_gradients_are_those_of_the_model_family(script: Callable[[str], ModuleType], model: Wan) -> None:
    latents, noise, levels = batch(model)
    conditions = Conditions([""] * 3, 8.0, {"context": latents[:, :, :2]})
    gradients = []
    losses = []
    for loss in (
        model.loss(latents, noise, levels, conditions),
        script("train").sample_losses(model.module, latents, noise, levels, 2),
    ):
        model.module.zero_grad()
        loss.mean().backward()
        losses.append(loss.detach())
        gradients.append({name: p.grad for name, p in model.module.named_parameters() if p.grad is not None})
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-6)
    for name, expected in gradients[0].items():
        # queries and keys of the attention to one token of text move nothing, so ours leaves them out
        if name in gradients[1]:
            torch.testing.assert_close(gradients[1][name], expected, rtol=1e-3, atol=1e-6)
        else:
            assert ".attn2." in name or ".norm2." in name
            assert expected.abs().max() < 1e-7
    # half precision is close, not equal
    rough = script("train").sample_losses(model.module, latents, noise, levels, 2, bf16=True)
    assert not torch.equal(rough, losses[0])
    torch.testing.assert_close(rough, losses[0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("patch", [(1, 2, 2), (2, 4, 2)])
def test_any_patch_and_any_number_of_layers(script: Callable[[str], ModuleType], patch: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    module = WanTransformer3DModel(
        patch_size=patch, num_attention_heads=2, attention_head_dim=16, in_channels=6, out_channels=6, text_dim=8,
        freq_dim=16, ffn_dim=32, num_layers=1, rope_max_seq_len=32,
    )  # fmt: skip
    latents, levels = torch.randn(2, 6, 6, 8, 8), torch.tensor([0.9, 0.3])
    tokens = (6 // patch[0], 8 // patch[1], 8 // patch[2])
    timesteps = (1000 * levels).view(-1, 1, 1, 1).repeat(1, *tokens)
    timesteps[:, : 2 // patch[0]] = 0.0
    with torch.no_grad():
        expected = module(latents, timesteps.flatten(1), torch.zeros(2, 1, 8), return_dict=False)[0][:, :, 2:]
        torch.testing.assert_close(script("network").velocity(module, latents, levels, 2), expected)
