"""CogVideoX: our loss against the training convention written out plainly, our videos against the stock pipeline's."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXImageToVideoPipeline
from PIL import Image
from tests.models.helpers import frames_like, spec_of

from drivereplay.errors import ModelError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.models.base import Conditions


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cogvideox")
    load_model(spec_of("random", "cogvideox")).save(directory)
    return directory


def trainer_noise(frames) -> torch.Tensor:
    """ε·σ with ln σ ~ N(−3, .5²), drawn from the image itself."""
    rows = []
    for clip in frames:
        generator = torch.Generator().manual_seed(zlib.crc32(clip[0].numpy().tobytes()))
        noise = torch.randn(3, *clip.shape[1:3], generator=generator)
        rows.append(noise * torch.exp(-3 + 0.5 * torch.randn((), generator=generator)))
    return torch.stack(rows).unsqueeze(2)


def reference_loss(pipeline, frames, noise, timesteps, prompt: str) -> torch.Tensor:
    """As diffusers' example script for CogVideoX image-to-video writes it, with its noise on the image."""
    vae, scheduler = pipeline.vae, pipeline.scheduler
    pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with torch.no_grad():
        latents = (vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor).permute(0, 2, 1, 3, 4)
        noisy_image = vae.encode(pixels[:, :, :1] + trainer_noise(frames)).latent_dist.mode()
        image = (noisy_image * vae.config.scaling_factor).permute(0, 2, 1, 3, 4)
        text = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)[0]
    batch, count = latents.shape[:2]
    image = torch.cat([image, latents.new_zeros(batch, count - 1, *latents.shape[2:])], dim=1)
    noisy = scheduler.add_noise(latents, noise.transpose(1, 2), timesteps)
    rotary = pipeline._prepare_rotary_positional_embeddings(32, 48, count, torch.device("cpu"))
    output = pipeline.transformer(
        torch.cat([noisy, image], dim=2), text.expand(batch, -1, -1), timesteps, image_rotary_emb=rotary
    ).sample
    predicted = scheduler.get_velocity(output, noisy, timesteps)
    weights = 1 / (1 - scheduler.alphas_cumprod[timesteps])
    return (weights[:, None, None, None, None] * (predicted - latents) ** 2).reshape(batch, -1).mean(dim=1)


def test_the_loss_is_that_of_the_training_convention(saved: Path) -> None:
    spec = spec_of(saved, "cogvideox")
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    levels = model.noise_levels(torch.tensor([0.3, 0.8]), latents.shape[1:])
    assert levels.tolist() == [300, 800]
    ours = model.loss(latents, noise, levels, model.conditions(frames, ["a road", "a road"], 8.0))
    stock = CogVideoXImageToVideoPipeline.from_pretrained(saved)
    theirs = reference_loss(stock, frames, noise, levels.long(), "a road")
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-5, atol=1e-6)


def test_videos_are_those_of_the_stock_pipeline(saved: Path, tmp_path: Path) -> None:
    spec = spec_of(saved, "cogvideox")
    frames = frames_like(spec)
    model = load_model(spec)
    ours = model.generate(frames[:, :1], 9, [4, 5], 3, Conditions(["a road", "a road"], 8.0))
    model.save(tmp_path / "again")
    stock = CogVideoXImageToVideoPipeline.from_pretrained(tmp_path / "again")
    stock.set_progress_bar_config(disable=True)
    video = stock(
        Image.fromarray(frames[1, 0].numpy()), "a road", height=32, width=48, num_frames=9, num_inference_steps=3,
        guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="pt",
    ).frames[0]  # fmt: skip
    assert torch.equal(ours[1, 1:], (video * 255).round().to(torch.uint8).movedim(1, -1)[1:])
    assert torch.equal(ours[:, 0], frames[:, 0])
    again = load_checkpoint(tmp_path / "again")
    assert torch.equal(again.generate(frames[:1, :1], 9, [4], 3, Conditions(["a road"], 8.0)), ours[:1])


def test_sizes_that_the_autoencoder_cannot_take_are_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match="conditioned on one frame"):
        load_model(spec_of(saved, "cogvideox", context=2))
    with pytest.raises(ModelError, match="nearest number is 9"):
        load_model(spec_of(saved, "cogvideox", frames=8))
    with pytest.raises(ModelError, match="nearest size is 32 × 48"):
        load_model(spec_of(saved, "cogvideox", width=50))


def test_learned_positions_have_one_size(tmp_path: Path) -> None:
    spec = spec_of("random", "cogvideox")
    learned = spec.model.model_copy(update={"config": {"use_learned_positional_embeddings": True}})
    load_model(spec.model_copy(update={"model": learned})).save(tmp_path)
    model = load_model(spec_of(tmp_path, "cogvideox"))
    frames = frames_like(spec, 1)
    latents = model.encode(frames)
    assert model.loss(latents, latents, torch.tensor([500]), model.conditions(frames, ["a road"], 8.0)).isfinite().all()
    with pytest.raises(ModelError, match="learned the positions of 32 × 48") as caught:
        load_model(spec_of(tmp_path, "cogvideox", height=48))
    assert "clip.height to 32" in caught.value.fix
