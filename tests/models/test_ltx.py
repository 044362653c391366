"""LTX: our loss against the training convention written out plainly, our videos against the stock pipeline's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    LTXConditionPipeline,
    LTXImageToVideoPipeline,
    LTXPipeline,
)
from PIL import Image
from tests.models.helpers import frames_like, spec_of

from drivereplay.errors import ModelError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.models.base import Conditions


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ltx")
    load_model(spec_of("random", "ltx", width=64)).save(directory)
    return directory


def reference_loss(pipeline, frames, noise, sigmas, context_latents: int, prompt: str, fps: float) -> torch.Tensor:
    """Flow matching with clean condition tokens at timestep 0, as LTX's trainer writes it (patch size 1)."""
    vae = pipeline.vae
    pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    mean, std = vae.latents_mean.view(1, -1, 1, 1, 1), vae.latents_std.view(1, -1, 1, 1, 1)
    with torch.no_grad():
        latents = (vae.encode(pixels).latent_dist.mode() - mean) * vae.config.scaling_factor / std
        embeds, mask, _, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    batch, _, t, h, w = latents.shape
    tokens = latents.flatten(2).transpose(1, 2)
    noise_tokens = noise.flatten(2).transpose(1, 2)
    given = (torch.arange(t * h * w) // (h * w) < context_latents)[None, :].expand(batch, -1)
    token_sigma = torch.where(given, torch.zeros(()), sigmas[:, None])[..., None]
    noisy = (1 - token_sigma) * tokens + token_sigma * noise_tokens
    grid = (
        torch.stack(torch.meshgrid(torch.arange(t), torch.arange(h), torch.arange(w), indexing="ij")).flatten(1).float()
    )
    ratio, ratio_t = pipeline.vae_spatial_compression_ratio, pipeline.vae_temporal_compression_ratio
    seconds = (grid[0] * ratio_t + 1 - ratio_t).clamp(min=0) / fps
    coordinates = torch.stack([seconds, grid[1] * ratio, grid[2] * ratio])[None].expand(batch, -1, -1)
    output = pipeline.transformer(
        noisy,
        embeds.expand(batch, -1, -1),
        token_sigma[..., 0] * 1000,
        mask.expand(batch, -1),
        video_coords=coordinates,
    ).sample
    squared = (output - (noise_tokens - tokens)) ** 2
    return squared[:, ~given[0]].mean(dim=(1, 2))


@pytest.mark.parametrize("context", [1, 5])
def test_the_loss_is_that_of_the_training_convention(saved: Path, context: int) -> None:
    spec = spec_of(saved, "ltx", width=64, context=context)
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    levels = model.noise_levels(torch.tensor([0.3, 0.8]), latents.shape[1:])
    ours = model.loss(latents, noise, levels, model.conditions(frames, ["a road", "a road"], 8.0))
    stock = LTXConditionPipeline.from_pretrained(saved)
    given = (context - 1) // stock.vae_temporal_compression_ratio + 1
    theirs = reference_loss(stock, frames, noise, levels, given, "a road", 8.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("context", [1, 5])
def test_videos_are_those_of_the_stock_pipeline(saved: Path, tmp_path: Path, context: int) -> None:
    spec = spec_of(saved, "ltx", width=64, context=context)
    frames = frames_like(spec)
    model = load_model(spec)
    ours = model.generate(frames[:, :context], 9, [4, 5], 3, Conditions(["a road", "a road"], 8.0))
    model.save(tmp_path / "again")
    stock = DiffusionPipeline.from_pretrained(tmp_path / "again")
    assert type(stock) is LTXConditionPipeline
    stock.set_progress_bar_config(disable=True)
    video = stock(
        video=[[Image.fromarray(f.numpy()) for f in frames[1, :context]]], prompt="a road", image_cond_noise_scale=0.0,
        height=32, width=64, num_frames=9, frame_rate=8.0, num_inference_steps=3, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5), output_type="pt",
    ).frames[0]  # fmt: skip
    assert torch.equal(ours[1, context:], (video * 255).round().to(torch.uint8).movedim(1, -1)[context:])
    assert torch.equal(ours[:, :context], frames[:, :context])
    again = load_checkpoint(tmp_path / "again")
    assert torch.equal(again.generate(frames[:1, :context], 9, [4], 3, Conditions(["a road"], 8.0)), ours[:1])


def test_context_frames_fill_whole_latent_frames(saved: Path) -> None:
    with pytest.raises(ModelError, match=r"clip\.context = 3 .* nearest number is (1|5)"):
        load_model(spec_of(saved, "ltx", width=64, context=3))
    with pytest.raises(ModelError, match=r"clip\.frames = 8 .* nearest number is 9"):
        load_model(spec_of(saved, "ltx", width=64, frames=8))
    with pytest.raises(ModelError, match="multiples of 32"):
        load_model(spec_of(saved, "ltx", width=48))


def test_the_future_depends_on_every_context_frame(saved: Path) -> None:
    model = load_model(spec_of(saved, "ltx", width=64, context=9, frames=17))
    context = frames_like(spec_of(saved, "ltx", width=64, frames=17), 1)[:, :9]
    future = model.generate(context, 17, [5], 2, Conditions(["a road"], 8.0))[:, 9:]
    for frame in range(9):
        other = context.clone()
        other[:, frame] = 255 - other[:, frame]
        assert not torch.equal(model.generate(other, 17, [5], 2, Conditions(["a road"], 8.0))[:, 9:], future), frame


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As diffusers' conversion writes 0.9.0 and 0.9.1, which is what the id Lightricks/LTX-Video holds."""
    directory = tmp_path_factory.mktemp("ltx-0.9.0")
    parts = load_model(spec_of("random", "ltx", width=64)).pipeline.components
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=1024, max_image_seq_len=4096,
        shift_terminal=0.1,
    )  # fmt: skip
    LTXPipeline(**{**parts, "scheduler": scheduler}).save_pretrained(directory)
    return directory


def test_the_first_versions_have_their_own_schedule_and_positions(first_version: Path, tmp_path: Path) -> None:
    spec = spec_of(first_version, "ltx", width=64)
    model = load_model(spec)
    frames = frames_like(spec, 1)
    model.save(tmp_path)
    stock = DiffusionPipeline.from_pretrained(tmp_path)
    assert type(stock) is LTXImageToVideoPipeline
    stock.set_progress_bar_config(disable=True)
    tables = []
    stock.transformer.rope.register_forward_hook(lambda module, inputs, output: tables.append(output))
    video = stock(
        image=Image.fromarray(frames[0, 0].numpy()), prompt="a road", height=32, width=64, num_frames=9,
        frame_rate=8.0, num_inference_steps=3, guidance_scale=1.0, generator=torch.Generator().manual_seed(5),
        output_type="pt",
    ).frames[0]  # fmt: skip
    ours = model.generate(frames[:, :1], 9, [5], 3, Conditions(["a road"], 8.0))
    assert torch.equal(ours[0, 1:], (video * 255).round().to(torch.uint8).movedim(1, -1)[1:])
    model.module.rope.register_forward_hook(lambda module, inputs, output: tables.append(output))
    latents = model.encode(frames)
    model.loss(latents, latents, torch.tensor([0.5]), model.conditions(frames, ["a road"], 8.0))
    torch.testing.assert_close(tables[-1], tables[0])
    with pytest.raises(ModelError, match=r"0\.9\.5"):
        load_model(spec_of(first_version, "ltx", width=64, frames=17, context=9))
