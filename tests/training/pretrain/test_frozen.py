"""A denoiser that starts by repeating the last given frame."""

from __future__ import annotations

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanTransformer3DModel

from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.codec import WanCodec
from drivereplay.models.wan import SCHEDULER, Wan
from drivereplay.training.pretrain.autoencoder import AutoencoderRecipe, build
from drivereplay.training.pretrain.frozen import SPREAD, posterior, start_at_last_frame


def denoiser(**changes: object) -> WanTransformer3DModel:
    options = {
        "patch_size": (1, 4, 4), "num_attention_heads": 6, "attention_head_dim": 32, "in_channels": 10,
        "out_channels": 10, "text_dim": 32, "freq_dim": 64, "ffn_dim": 64, "num_layers": 2, "rope_max_seq_len": 64,
    }  # fmt: skip
    with layout.seeded(0):
        return WanTransformer3DModel(**{**options, **changes})


def latents(seed: int = 0) -> torch.Tensor:
    """A scene (2, 10, 9, 16, 24) that changes a little from frame to frame."""
    generator = torch.Generator().manual_seed(seed)
    scene = torch.randn(2, 10, 1, 16, 24, generator=generator)
    return scene + 0.1 * torch.randn(2, 10, 9, 16, 24, generator=generator)


@pytest.mark.parametrize(("patch", "heads", "frames"), [((1, 4, 4), 6, 9), ((2, 2, 2), 4, 8)])
def test_velocity_is_the_posterior_mean_around_the_last_context_frame(
    patch: tuple[int, int, int], heads: int, frames: int
) -> None:
    module = denoiser(patch_size=patch, num_attention_heads=heads)
    start_at_last_frame(module, seed=0)
    clean = latents()[:, :, :frames]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    for sigma in (0.4, 0.7, 1.0):
        noisy = (1 - sigma) * clean + sigma * noise
        given = torch.cat([clean[:, :, :2], noisy[:, :, 2:]], dim=2)
        timesteps = torch.full((2, frames // patch[0], 16 // patch[1], 24 // patch[2]), 1000.0 * sigma)
        timesteps[:, : 2 // patch[0]] = 0
        with torch.no_grad():
            made = module(given, timesteps.flatten(1), torch.zeros(2, 1, 32), return_dict=False)[0][:, :, 2:]
        a, b = posterior(torch.tensor(sigma))
        ideal = a * noisy[:, :, 2:] - b * clean[:, :, 1:2]
        assert (made - ideal).square().mean() < 0.1 * ideal.square().mean()


def test_generation_repeats_the_last_frame_and_not_the_one_before() -> None:
    module = denoiser()
    start_at_last_frame(module, seed=0)
    vae = build(AutoencoderRecipe(data="", channels=10, base_dim=32))
    model = Wan(
        module, WanCodec(vae), UniPCMultistepScheduler(**SCHEDULER), context=2, origin=layout.Origin(Wan.pipelines[0])
    )
    model.decode = lambda z: z  # type: ignore[method-assign, assignment]
    clean = latents()
    clean[:, :, 0] = torch.randn(2, 10, 16, 24, generator=torch.Generator().manual_seed(5))
    model._given = lambda context, frames: {"context": clean[:, :, :2]}  # type: ignore[method-assign]
    context = torch.zeros(2, 2, 64, 96, 3, dtype=torch.uint8)
    made = _generated(model, context)[:, :, 2:]
    last, first = ((made - clean[:, :, n : n + 1]).square().mean() for n in (1, 0))
    # what is generated lies around the last frame, as far from it as the prior says
    assert last < 1.2 * SPREAD**2 < first


def _generated(model: Wan, context: torch.Tensor) -> torch.Tensor:
    """The latents: `generate` puts the given frames over the decoded ones, which are latents here."""
    kept: list[torch.Tensor] = []

    def keep(z: torch.Tensor) -> torch.Tensor:
        kept.append(z)
        return torch.zeros(2, 9, 64, 96, 3, dtype=torch.uint8)

    model.decode = keep  # type: ignore[method-assign, assignment]
    model.generate(context, 9, [0, 1], 8, Conditions(["", ""], 8.0))
    return kept[0]


def test_untouched_layers_still_learn() -> None:
    module = denoiser()
    start_at_last_frame(module, seed=0)
    clean = latents()
    timesteps = torch.full((2, 216), 700.0)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    before = [p.detach().clone() for p in module.blocks[1].parameters()]
    for _ in range(2):
        loss = module(clean, timesteps, torch.zeros(2, 1, 32), return_dict=False)[0].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    changed = [bool((p != q).any()) for p, q in zip(module.blocks[1].parameters(), before, strict=True)]
    # zero-initialised last layers would never pass a gradient on if what stands before them were zero as well
    assert sum(changed) > len(changed) * 0.6


@pytest.mark.parametrize("changes", [{"num_attention_heads": 5}, {"in_channels": 21}, {"patch_size": (2, 4, 4)}])
def test_a_denoiser_that_cannot_hold_it_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        start_at_last_frame(denoiser(**changes), seed=0)
