"""Wan: our loss against the training convention written out plainly, our videos against the stock pipeline's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from tests.models.helpers import frames_like, spec_of, wan_pipeline

from drivereplay.errors import ModelError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.models.base import Conditions


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wan")
    wan_pipeline().save_pretrained(directory)
    return directory


def reference_loss(pipeline, frames, noise, levels, prompt: str) -> torch.Tensor:
    """Flow matching for image-to-video as training scripts for Wan write it, with one context frame."""
    vae, transformer = pipeline.vae, pipeline.transformer
    pixels = frames.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
    with torch.no_grad():
        latents = (vae.encode(pixels).latent_dist.mode() - mean) / std
        first = torch.cat([pixels[:, :, :1], torch.zeros_like(pixels[:, :, 1:])], dim=2)
        condition = (vae.encode(first).latent_dist.mode() - mean) / std
        text = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=512)[0]
    mask = torch.zeros(len(frames), 4, *latents.shape[2:])
    mask[:, :, 0] = 1
    sigma = levels.view(-1, 1, 1, 1, 1)
    noisy = (1 - sigma) * latents + sigma * noise
    inputs = torch.cat([noisy, mask, condition], dim=1)
    predicted = transformer(inputs, levels * 1000, text.expand(len(frames), -1, -1)).sample
    return ((predicted - (noise - latents)) ** 2).mean(dim=(1, 2, 3, 4))


def test_the_loss_is_that_of_the_training_convention(base: Path) -> None:
    spec = spec_of(base, "wan")
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    levels = model.noise_levels(torch.tensor([0.2, 0.7]), latents.shape[1:])
    torch.testing.assert_close(levels, torch.tensor([3 * 0.2 / 1.4, 3 * 0.7 / 2.4]))
    ours = model.loss(latents, noise, levels, model.conditions(frames, ["a road", "a road"], 8.0))
    pipeline = wan_pipeline().from_pretrained(base)
    theirs = reference_loss(pipeline, frames, noise, levels, "a road")
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("image_encoder", [False, True])
def test_videos_are_those_of_the_stock_pipeline(tmp_path: Path, image_encoder: bool) -> None:
    wan_pipeline(image_encoder=image_encoder).save_pretrained(tmp_path / "base")
    spec = spec_of(tmp_path / "base", "wan")
    model = load_model(spec)
    frames = frames_like(spec, 1)
    ours = model.generate(frames[:, :1], 9, [5], 4, Conditions(["a road"], 8.0))

    # and the same from what we save
    model.save(tmp_path / "saved")
    stock = wan_pipeline().from_pretrained(tmp_path / "saved")
    stock.set_progress_bar_config(disable=True)
    video = stock(
        Image.fromarray(frames[0, 0].numpy()), "a road", height=32, width=48, num_frames=9, num_inference_steps=4,
        guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="np",
    ).frames[0]  # fmt: skip
    theirs = (video * 255).round().astype(np.uint8)
    assert np.array_equal(ours[0, 1:].numpy(), theirs[1:])
    assert torch.equal(ours[0, 0], frames[0, 0])
    again = load_checkpoint(tmp_path / "saved").generate(frames[:, :1], 9, [5], 4, Conditions(["a road"], 8.0))
    assert torch.equal(again, ours)


def test_expanded_timesteps_give_the_videos_of_the_stock_pipeline(tmp_path: Path) -> None:
    wan_pipeline(in_channels=4, expand=True).save_pretrained(tmp_path)
    spec = spec_of(tmp_path, "wan")
    frames = frames_like(spec, 1)
    ours = load_model(spec).generate(frames[:, :1], 9, [5], 4, Conditions([""], 8.0))
    stock = wan_pipeline().from_pretrained(tmp_path)
    stock.set_progress_bar_config(disable=True)
    video = stock(
        Image.fromarray(frames[0, 0].numpy()), "", height=32, width=48, num_frames=9, num_inference_steps=4,
        guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="np",
    ).frames[0]  # fmt: skip
    difference = ours[0, 1:].numpy().astype(int) - (video[1:] * 255).round().astype(int)
    assert abs(difference).max() <= 1  # the stock pipeline keeps noise under the context; ours does not


def test_a_text_to_video_base_takes_context_frames(tmp_path: Path) -> None:
    wan_pipeline(in_channels=4, text=True).save_pretrained(tmp_path / "base")
    spec = spec_of(tmp_path / "base", "wan", context=5)
    model = load_model(spec)
    frames = frames_like(spec)
    latents = model.encode(frames)
    conditions = model.conditions(frames, ["", ""], 8.0)
    noise = torch.randn_like(latents)
    levels = model.noise_levels(torch.tensor([0.3, 0.6]), latents.shape[1:])
    loss = model.loss(latents, noise, levels, conditions)
    noise[:, :, :2] = 7.0  # noise under the given latents is never seen
    torch.testing.assert_close(model.loss(latents, noise, levels, conditions), loss)
    video = model.generate(frames[:, :5], 9, [1, 2], 2, Conditions(["", ""], 8.0))
    assert torch.equal(video[:, :5], frames[:, :5])
    model.save(tmp_path / "saved")
    # only the image-to-video class can be given frames
    stock = DiffusionPipeline.from_pretrained(tmp_path / "saved")
    assert type(stock).__name__ == "WanImageToVideoPipeline" and stock.config.expand_timesteps
    with pytest.raises(ModelError, match="nearest number is 1"):
        load_model(spec_of(tmp_path / "base", "wan", context=2))


def test_a_clip_does_not_depend_on_its_batch(base: Path) -> None:
    spec = spec_of(base, "wan")
    model = load_model(spec)
    frames = frames_like(spec, 3)
    together = model.generate(frames[:, :1], 9, [1, 2, 3], 3, Conditions([""] * 3, 8.0))
    alone = model.generate(frames[1:2, :1], 9, [2], 3, Conditions([""], 8.0))
    assert (together[1:2].int() - alone.int()).abs().max() <= 1
    assert not torch.equal(together[0, 1:], together[1, 1:])


def test_the_first_context_frames_are_all_that_is_known(base: Path) -> None:
    """Changing the future changes no condition: nothing leaks."""
    spec = spec_of(base, "wan", context=2)
    model = load_model(spec)
    frames = frames_like(spec)
    other = frames.clone()
    other[:, 2:] = 255 - other[:, 2:]
    given = model.conditions(frames, ["", ""], 8.0).given["condition"]
    assert torch.equal(given, model.conditions(other, ["", ""], 8.0).given["condition"])
    mask = given[:, :4]
    # frame 0 fills the first latent frame's four mask channels, frame 1 the first of the second's
    assert (
        mask[0, :, 0].min() == 1 and mask[0, 0, 1].min() == 1 and mask[0, 1:, 1].max() == 0 and mask[0, :, 2].max() == 0
    )


def test_random_models_come_from_the_seed() -> None:
    spec = spec_of("random", "wan", frames=8, context=2)
    first, second = load_model(spec), load_model(spec)
    assert all(torch.equal(a, b) for a, b in zip(first.module.parameters(), second.module.parameters(), strict=True))
    with pytest.raises(ModelError, match="no ffn_dimension"):
        load_model(spec.model_copy(update={"model": spec.model.model_copy(update={"config": {"ffn_dimension": 3}})}))


def test_a_base_without_text_refuses_a_prompt() -> None:
    model = load_model(spec_of("random", "wan", frames=8, context=2))
    frames = frames_like(spec_of("random", "wan", frames=8, context=2))
    latents = model.encode(frames)
    with pytest.raises(ModelError, match="no text encoder"):
        model.loss(latents, latents, torch.tensor([0.5, 0.5]), model.conditions(frames, ["a", "b"], 8.0))


def test_experts_are_trained_one_at_a_time(tmp_path: Path) -> None:
    """Each on its side of the boundary; the other one is linked, and both generate."""
    from tests.models.cases import ExpertCase

    high = ExpertCase("high").prepare(tmp_path / "base")
    with pytest.raises(ModelError, match="two denoisers") as caught:
        load_model(high.model_copy(update={"model": high.model.model_copy(update={"expert": None})}))
    assert "model.expert" in caught.value.fix
    uniforms = torch.linspace(0, 0.999, 200)
    shares = {}
    for expert in ("high", "low"):
        spec = high.model_copy(update={"model": high.model.model_copy(update={"expert": expert})})
        model = load_model(spec)
        shares[expert] = model.noise_levels(uniforms, (4, 3, 4, 6))
        own, other = ("transformer", "transformer_2") if expert == "high" else ("transformer_2", "transformer")
        model.save(tmp_path / expert)
        weights = "diffusion_pytorch_model.safetensors"
        assert (tmp_path / expert / other / weights).samefile(tmp_path / "base" / other / weights)
        assert not (tmp_path / expert / own / weights).samefile(tmp_path / "base" / own / weights)
        again = load_checkpoint(tmp_path / expert)
        assert again.expert == expert
        stock = DiffusionPipeline.from_pretrained(tmp_path / expert)
        assert stock.config.boundary_ratio == 0.9 and stock.transformer_2 is not None
    assert shares["high"].min() >= 0.9 - 1e-6 and shares["low"].max() <= 0.9 + 1e-6
    one = spec_of("random", "wan", frames=8, context=2)
    with pytest.raises(ModelError, match="has one denoiser"):
        load_model(one.model_copy(update={"model": one.model.model_copy(update={"expert": "low"})}))
