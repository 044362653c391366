"""The recipe of the shipped base's autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drivereplay.errors import SpecError
from drivereplay.models import load_checkpoint
from drivereplay.training.pretrain.autoencoder import (
    AutoencoderRecipe,
    Progress,
    assemble,
    build,
    load_recipe,
    reconstruction_psnr_db,
    train_autoencoder,
)

SMALL = {"patch_size": (1, 4, 4), "num_attention_heads": 6, "attention_head_dim": 32, "num_layers": 1, "ffn_dim": 32}


def moving_blobs(count: int, seed: int) -> np.ndarray:
    """Clips (count, 5, 32, 32, 3) of smooth colours that move to the right."""
    rng = np.random.default_rng(seed)
    x = np.arange(32) / 32
    phases, waves = rng.uniform(0, 6, (count, 1, 1, 1, 3)), rng.uniform(2, 7, (count, 1, 1, 1, 3))
    time = np.arange(5)[None, :, None, None, None] * 0.3
    picture = np.sin(phases + waves * x[None, None, None, :, None] - time) * np.cos(3 * x)[None, None, :, None, None]
    return (127.5 + 110 * picture).astype(np.uint8)


@pytest.fixture(scope="module")
def trained() -> tuple[object, AutoencoderRecipe, list[Progress]]:
    recipe = AutoencoderRecipe(data="", steps=30, batch_frames=8, transformer=SMALL)
    vae = build(recipe)
    clips, held_out = moving_blobs(24, 0), moving_blobs(4, 1)
    seen: list[Progress] = []
    train_autoencoder(vae, clips.reshape(-1, 32, 32, 3), held_out[:, 0], recipe, report=seen.append, reports=3)
    return vae, recipe, seen


def test_training_improves_on_the_linear_start(trained: tuple[object, AutoencoderRecipe, list[Progress]]) -> None:
    _, _, seen = trained
    assert [p.step for p in seen] == [10, 20, 30]
    assert seen[-1].psnr_db > max(30.0, seen[0].psnr_db)


def test_clips_go_through_the_stock_class_as_well_as_pictures_do(
    trained: tuple[object, AutoencoderRecipe, list[Progress]],
) -> None:
    vae, _, seen = trained
    assert reconstruction_psnr_db(vae, moving_blobs(4, 1)) == pytest.approx(seen[-1].psnr_db, abs=1.5)


def test_a_frame_does_not_depend_on_the_others(trained: tuple[object, AutoencoderRecipe, list[Progress]]) -> None:
    vae, _, _ = trained
    clip = torch.from_numpy(moving_blobs(1, 2)).movedim(-1, 1).float() / 127.5 - 1
    other = clip.clone()
    other[:, :, :3] = 0.0
    with torch.no_grad():
        one, two = (vae.encode(x).latent_dist.mode() for x in (clip, other))  # type: ignore[attr-defined]
    assert torch.equal(one[:, :, 3:], two[:, :, 3:])


def test_latents_have_mean_square_one_and_quiet_channels_stay_quieter(
    trained: tuple[object, AutoencoderRecipe, list[Progress]], tmp_path: Path
) -> None:
    vae, recipe, _ = trained
    assemble(vae, recipe, tmp_path / "base", context=2)
    model = load_checkpoint(tmp_path / "base")
    latents = model.encode(torch.from_numpy(moving_blobs(16, 0)))
    assert latents.shape == (16, 10, 5, 8, 8)
    assert 0.6 < float(latents.square().mean()) < 1.6
    deviations = latents.std(dim=(0, 2, 3, 4))
    assert deviations.max() / deviations.min() > 1.5


def test_the_assembled_base_generates(
    trained: tuple[object, AutoencoderRecipe, list[Progress]], tmp_path: Path
) -> None:
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    from drivereplay.models.base import Conditions

    vae, recipe, _ = trained
    assemble(vae, recipe, tmp_path / "base", context=2)
    assert isinstance(AutoencoderKLWan.from_pretrained(tmp_path / "base" / "vae"), AutoencoderKLWan)
    WanTransformer3DModel.from_pretrained(tmp_path / "base" / "transformer")
    clips = torch.from_numpy(moving_blobs(2, 4))
    made = load_checkpoint(tmp_path / "base").generate(clips[:, :2], 5, [0, 1], 4, Conditions(["", ""], 8.0))
    assert made.shape == clips.shape
    assert torch.equal(made[:, :2], clips[:, :2])


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: x.yaml\nstep: 3\n")
    with pytest.raises(SpecError, match="step"):
        load_recipe(path)


def test_the_shipped_recipes_are_valid(project_root: Path) -> None:
    recipe = load_recipe(project_root / "experiments" / "pretrain-tiny-autoencoder.yaml")
    assert (project_root / "experiments" / recipe.data).is_file()
