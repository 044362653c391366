"""SVD: our loss against the training convention written out plainly, our videos against the stock pipeline's."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image
from tests.models.helpers import frames_like, spec_of

from drivereplay.errors import ModelError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.models.base import Conditions


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("svd")
    load_model(spec_of("random", "svd", frames=3)).save(directory)
    return directory


def reference_loss(pipeline, frames, noise, sigmas, fps: float) -> torch.Tensor:
    """EDM fine-tuning of SVD as public training scripts write it."""
    vae, unet = pipeline.vae, pipeline.unet
    pixels = frames.permute(0, 1, 4, 2, 3).float() / 127.5 - 1
    batch, count = pixels.shape[:2]
    with torch.no_grad():
        latents = vae.encode(pixels.flatten(0, 1)).latent_dist.mode().unflatten(0, (batch, count))
        latents = latents * vae.config.scaling_factor
        added = torch.stack(
            [
                torch.randn(3, 32, 48, generator=torch.Generator().manual_seed(zlib.crc32(f[0].numpy().tobytes())))
                for f in frames
            ]
        )
        condition = vae.encode(pixels[:, 0] + 0.02 * added).latent_dist.mode()
        pictures = [Image.fromarray(f[0].numpy()) for f in frames]
        embedding = pipeline._encode_image(pictures, torch.device("cpu"), 1, False)
    sigma = sigmas[:, None, None, None, None]
    noisy = latents + noise.transpose(1, 2) * sigma
    inputs = torch.cat([noisy / (sigma**2 + 1) ** 0.5, condition.unsqueeze(1).repeat(1, count, 1, 1, 1)], dim=2)
    times = torch.tensor([[fps - 1, 127, 0.02]]).repeat(batch, 1)
    output = unet(inputs, 0.25 * sigmas.log(), embedding, added_time_ids=times).sample
    denoised = output * (-sigma / (sigma**2 + 1) ** 0.5) + noisy / (sigma**2 + 1)
    weight = (1 + sigma**2) * sigma**-2.0
    return (weight * (denoised - latents) ** 2).reshape(batch, -1).mean(dim=1)


def test_the_loss_is_that_of_the_training_convention(saved: Path) -> None:
    spec = spec_of(saved, "svd", frames=3)
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    levels = model.noise_levels(torch.tensor([0.3, 0.8]), latents.shape[1:])
    ours = model.loss(latents, noise, levels, model.conditions(frames, ["", ""], 8.0))
    theirs = reference_loss(StableVideoDiffusionPipeline.from_pretrained(saved), frames, noise, levels, 8.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_noise_levels_are_log_normal() -> None:
    model = load_model(spec_of("random", "svd", frames=3))
    logs = model.noise_levels(torch.linspace(0, 1, 10_001), (4, 3, 16, 24)).log()[1:-1]
    assert logs.mean().item() == pytest.approx(0.7, abs=1e-2)
    assert logs.std().item() == pytest.approx(1.6, abs=1e-2)


def test_videos_are_those_of_the_stock_pipeline(saved: Path, tmp_path: Path) -> None:
    spec = spec_of(saved, "svd", frames=3)
    frames = frames_like(spec)
    model = load_model(spec)
    ours = model.generate(frames[:, :1], 3, [4, 5], 3, Conditions(["", ""], 8.0))
    model.save(tmp_path / "again")
    stock = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "again")
    stock.set_progress_bar_config(disable=True)
    video = stock(
        Image.fromarray(frames[1, 0].numpy()), height=32, width=48, num_frames=3, num_inference_steps=3, fps=8,
        min_guidance_scale=1.0, max_guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="pt",
    ).frames[0]  # fmt: skip
    assert torch.equal(ours[1, 1:], (video * 255).round().to(torch.uint8).movedim(1, -1)[1:])
    assert torch.equal(ours[:, 0], frames[:, 0])
    again = load_checkpoint(tmp_path / "again").generate(frames[:1, :1], 3, [4], 3, Conditions([""], 8.0))
    assert torch.equal(again, ours[:1])


def test_only_the_first_frame_is_known(saved: Path) -> None:
    spec = spec_of(saved, "svd", frames=3)
    model = load_model(spec)
    frames = frames_like(spec)
    other = frames.clone()
    other[:, 1:] = 255 - other[:, 1:]
    first, second = (model.conditions(f, ["", ""], 8.0).given for f in (frames, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(ModelError, match="conditioned on one frame"):
        load_model(spec_of(saved, "svd", frames=3, context=2))


def test_layer_groups_part_the_network(saved: Path) -> None:
    from fnmatch import fnmatchcase

    model = load_model(spec_of(saved, "svd", frames=3))
    found = {
        group: {n for n, _ in model.module.named_parameters() if any(fnmatchcase(n, p) for p in patterns)}
        for group, patterns in model.layer_groups.items()
    }
    assert found["temporal"] and found["spatial"]
    assert not found["temporal"] & found["spatial"]


def test_sizes_that_the_network_cannot_take_are_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match="nearest size is 32 × 48"):
        load_model(spec_of(saved, "svd", frames=3, height=33))


def test_half_precision_bases_are_trained_in_full(saved: Path, tmp_path: Path) -> None:
    StableVideoDiffusionPipeline.from_pretrained(saved).to(torch.float16).save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "svd", frames=3)
    model = load_model(spec)
    assert {p.dtype for c in (model.module, model.vae, model.pipeline.image_encoder) for p in c.parameters()} == {
        torch.float32
    }
    frames = frames_like(spec, 1)
    latents = model.encode(frames)
    loss = model.loss(latents, latents, torch.tensor([1.0]), model.conditions(frames, [""], 8.0))
    assert loss.isfinite().all()
    assert model.generate(frames[:, :1], 3, [4], 2, Conditions([""], 8.0)).shape == (1, 3, 32, 48, 3)
