"""Cosmos: our loss against the published training loss written out plainly, our videos against the stock pipeline's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import Cosmos2VideoToWorldPipeline
from PIL import Image
from tests.models.helpers import frames_like, spec_of

from drivereplay.errors import ModelError
from drivereplay.models import layout, load_checkpoint, load_model
from drivereplay.models.base import Conditions
from drivereplay.models.cosmos import Unguarded


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("cosmos")
    load_model(spec_of("random", "cosmos")).save(directory)
    return directory


def stock_of(directory: Path) -> Cosmos2VideoToWorldPipeline:
    stock = Cosmos2VideoToWorldPipeline.from_pretrained(directory, safety_checker=Unguarded())
    stock.set_progress_bar_config(disable=True)
    return stock


def reference_loss(pipeline, frames, noise, sigma, given: int, prompt: str) -> torch.Tensor:
    """Weighted error of x̂_0 with the pipeline's own preconditioning, as Cosmos-Predict2 was trained: at any rate
    without modulation of the temporal positions (`rope_enable_fps_modulation=False` of the released networks)."""
    vae, (b, _, t, h, w) = pipeline.vae, noise.shape
    pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    with torch.no_grad():
        clean = (vae.encode(pixels).latent_dist.mode() - mean) / std
        text = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)[0]
    sigma = sigma.view(-1, 1, 1, 1, 1)
    noisy = clean + sigma * noise
    time = sigma / (sigma + 1)
    indicator = torch.zeros(b, 1, t, 1, 1)
    indicator[:, :, :given] = 1.0
    output = pipeline.transformer(
        hidden_states=indicator * clean + (1 - indicator) * noisy * (1 - time),
        timestep=indicator * (0.0001 / 1.0001) + (1 - indicator) * time,
        encoder_hidden_states=text.expand(b, -1, -1),
        condition_mask=indicator.expand(b, 1, t, h, w),
        padding_mask=torch.zeros(1, 1, 8 * h, 8 * w),
    ).sample
    denoised = (1 - time) * noisy - time * output
    return ((1 + sigma) ** 2 / sigma**2 * (denoised - clean) ** 2)[:, :, given:].mean(dim=(1, 2, 3, 4))


@pytest.mark.parametrize("context", [1, 5])
def test_the_loss_is_that_of_the_training_convention(saved: Path, context: int) -> None:
    spec = spec_of(saved, "cosmos", context=context)
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    levels = model.noise_levels(torch.tensor([0.3, 0.8]), latents.shape[1:])
    ours = model.loss(latents, noise, levels, model.conditions(frames, ["a road", "a road"], 8.0))
    sigma = torch.exp(torch.special.ndtri(torch.tensor([0.3, 0.8])) * 1.2) * 4.0 * 3**0.5  # three latent frames
    theirs = reference_loss(stock_of(saved), frames, noise, sigma, (context - 1) // 4 + 1, "a road")
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("context", [1, 5])
def test_videos_are_those_of_the_stock_pipeline(saved: Path, tmp_path: Path, context: int) -> None:
    spec = spec_of(saved, "cosmos", context=context)
    frames = frames_like(spec)
    model = load_model(spec)
    ours = model.generate(frames[:, :context], 9, [4, 5], 3, Conditions(["a road", "a road"], 8.0))
    model.save(tmp_path / "again")
    video = stock_of(tmp_path / "again")(
        video=[Image.fromarray(f.numpy()) for f in frames[1, :context]], prompt="a road", height=32, width=48,
        num_frames=9, fps=24, num_inference_steps=3, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(5), output_type="pt",
    ).frames[0]  # fmt: skip
    assert torch.equal(ours[1, context:], (video * 255).round().to(torch.uint8).movedim(1, -1)[context:])
    assert torch.equal(ours[:, :context], frames[:, :context])
    again = load_checkpoint(tmp_path / "again")
    assert torch.equal(again.generate(frames[:1, :context], 9, [4], 3, Conditions(["a road"], 8.0)), ours[:1])


def test_published_weights_are_not_generated_with_without_their_guardrail(saved: Path, tmp_path: Path) -> None:
    model = load_model(spec_of(saved, "cosmos"))
    model.save(tmp_path)
    layout.write_card(tmp_path, family="cosmos", context=1)  # as of a base that is not random
    frames = frames_like(spec_of(saved, "cosmos"))
    guarded = load_checkpoint(tmp_path)
    assert torch.equal(guarded.encode(frames), model.encode(frames))
    with pytest.raises(ModelError, match="licence asks for a guardrail") as caught:
        guarded.generate(frames[:1, :1], 9, [4], 3, Conditions(["a road"], 8.0))
    assert "pip install cosmos_guardrail" in caught.value.fix


def test_sizes_and_channels_that_do_not_fit_are_refused(saved: Path) -> None:
    with pytest.raises(ModelError, match=r"clip\.context = 3 .* nearest number is (1|5)"):
        load_model(spec_of(saved, "cosmos", context=3))
    with pytest.raises(ModelError, match=r"clip\.frames = 8 .* nearest number is 9"):
        load_model(spec_of(saved, "cosmos", frames=8))
    with pytest.raises(ModelError, match="multiples of 16"):
        load_model(spec_of(saved, "cosmos", width=40))
    spec = spec_of("random", "cosmos")
    wrong = spec.model_copy(update={"model": spec.model.model_copy(update={"config": {"in_channels": 4}})})
    with pytest.raises(ModelError, match="maps 4 channels to 4; with an autoencoder of 4 it must be 5"):
        load_model(wrong)
