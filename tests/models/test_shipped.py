"""The base that ships with the project: what it is made of, and that it works where it is said to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drivereplay.errors import ModelError
from drivereplay.models import load_model, shipped
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import Spec, parse_spec

TINY = Path(__file__).parents[2] / "platform" / "drivereplay" / "models" / "shipped" / "tiny"


def spec(**clip: int) -> Spec:
    size = {"frames": 8, "context": 2, "height": 64, "width": 96, **clip}
    target = {"name": "driving", "source": {"kind": "world", "world": "highway"}}
    return parse_spec({"name": "t", "clip": size, "model": {"base": "tiny"}, "target": target})


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return load_model(spec())


def moving_square(count: int = 2) -> np.ndarray:
    """Clips (count, 8, 64, 96, 3): a bright square moves over a ground of two colours."""
    clips = np.empty((count, 8, 64, 96, 3), np.uint8)
    clips[:, :, :30], clips[:, :, 30:] = (150, 190, 230), (90, 120, 70)
    for n in range(count):
        for t in range(8):
            left = 10 + 8 * n + 5 * t
            clips[n, t, 34:46, left : left + 14] = (200, 40, 40)
    return clips


def test_it_is_small_enough_to_ship() -> None:
    assert "tiny" in shipped()
    assert sum(file.stat().st_size for file in TINY.rglob("*.safetensors")) <= 12_000_000


def test_stock_diffusers_reads_it() -> None:
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel

    for cls, part in (
        (AutoencoderKLWan, "vae"), (WanTransformer3DModel, "transformer"), (UniPCMultistepScheduler, "scheduler"),
    ):  # fmt: skip
        cls.from_pretrained(TINY / part)


def test_the_stock_pipeline_reads_it_and_what_is_saved_of_it(model: VideoModel, tmp_path: Path) -> None:
    from diffusers import WanImageToVideoPipeline

    model.save(tmp_path)
    absent = dict.fromkeys(("text_encoder", "tokenizer", "transformer_2", "image_encoder", "image_processor"))
    for directory in (TINY, tmp_path):
        pipeline = WanImageToVideoPipeline.from_pretrained(directory, **absent)
        assert pipeline.vae.config.z_dim == pipeline.transformer.config.in_channels


def test_pictures_survive_the_autoencoder(model: VideoModel) -> None:
    clips = torch.from_numpy(moving_square())
    error = (model.decode(model.encode(clips)).float() - clips.float()).square().mean()
    assert 10 * torch.log10(255**2 / error) > 27


def test_generation_keeps_the_scene_and_the_seed_decides(model: VideoModel) -> None:
    clips = torch.from_numpy(moving_square())
    conditions = Conditions(["", ""], 8.0)
    made = model.generate(clips[:, :2], 8, [1, 2], 4, conditions)
    assert made.shape == clips.shape
    assert torch.equal(made, model.generate(clips[:, :2], 8, [1, 2], 4, conditions))
    error = (made[:, 2:].float() - clips[:, 2:].float()).square().mean()
    grey = (127.5 - clips[:, 2:].float()).square().mean()
    assert error < 0.5 * grey


def test_impossible_sizes_are_refused_with_the_nearest_one() -> None:
    with pytest.raises(ModelError, match="64 × 96"):
        load_model(spec(height=60, width=100))


def test_frames_that_do_not_fill_its_tokens_are_refused() -> None:
    with pytest.raises(ModelError, match=r"clip.frames = 9 .* takes 2 latent frames"):
        load_model(spec(frames=9))
    with pytest.raises(ModelError, match=r"clip.context = 3 .* takes 2 latent frames"):
        load_model(spec(context=3))


def test_the_model_card_says_what_it_was_made_of() -> None:
    card = (TINY / "README.md").read_text(encoding="utf-8")
    for word in ("Data", "Steps", "Seed", "Machine", "Hours", "frozen", "constant-motion", "PSNR", "agents.ade"):
        assert word in card, word
