"""Trains the small autoencoder of the shipped base and puts a base together around it.

The class is diffusers' `AutoencoderKLWan`, so that stock pipelines read it. It is trained as an image autoencoder: of
each causal 3×3×3 convolution only the tap at the present frame is used, the two taps at earlier frames stay zero. That
costs a third of the arithmetic, frame t of a clip does not depend on the others, and grey frames after a context (how
Wan's image-to-video bases are told what is given) cannot disturb it.

    python -m drivereplay.training.pretrain.autoencoder experiments/pretrain-tiny-autoencoder.yaml --out runs/tiny-start
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from torch import Tensor

from drivereplay._sections.base import Section
from drivereplay._sections.strict import StrictYamlError, load_yaml, validated
from drivereplay.errors import SpecError
from drivereplay.models.codec import WanCodec, to_frames, to_signed
from drivereplay.models.stills import causal_convolutions, drop_earlier_taps, only_present_taps
from drivereplay.spec import load_spec
from drivereplay.training.pretrain.frames import world_frames
from drivereplay.training.pretrain.frozen import start_at_last_frame
from drivereplay.training.pretrain.principal import start_at_principal_components

Positive = Annotated[int, pydantic.Field(ge=1)]


class AutoencoderRecipe(Section):
    """Everything that the autoencoder and the base around it depend on."""

    data: str
    """Experiment file whose domains are learned from; relative to this file."""
    clips: Positive = 100
    """Most training windows taken from each domain."""
    seed: int = 0
    """Seed of weights and batches."""
    base_dim: Positive = 32
    """Channels of the encoder's and the decoder's trunk; more than 2 × `channels`."""
    blocks: Positive = 1
    """Residual blocks of the encoder; the decoder has one more."""
    patch: Positive = 4
    """Pixels of a side of a latent cell: blocks are folded into channels before the first convolution."""
    channels: Positive = 10
    """Latent channels."""
    batch_frames: Positive = 32
    """Frames of a step."""
    steps: Positive = 2000
    """Optimiser steps."""
    learning_rate: Annotated[float, pydantic.Field(gt=0)] = 1e-3
    """Peak learning rate of AdamW, cosine to 2 % of it."""
    absolute: Annotated[float, pydantic.Field(ge=0)] = 0.1
    """Weight of the mean absolute error beside the mean squared error."""
    kl: Annotated[float, pydantic.Field(ge=0)] = 1e-7
    """Weight of the Kullback-Leibler term for each latent value."""
    transformer: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Configuration of the untrained denoiser that is put beside the autoencoder."""
    flatten: Annotated[float, pydantic.Field(ge=0, le=1)] = 0.5
    """Latent channel c is divided by its deviation to this power: 1 would make fine texture as loud as the scene."""
    flow_shift: Annotated[float, pydantic.Field(ge=1)] = 1.0
    """The scheduler's shift."""


@dataclass(frozen=True)
class Progress:
    """One line of the training curve."""

    step: int
    psnr_db: float
    seconds: float


def build(recipe: AutoencoderRecipe) -> Any:
    """The untrained `AutoencoderKLWan` of a recipe, weights from its seed."""
    from diffusers import AutoencoderKLWan

    folded = 3 * recipe.patch**2
    torch.manual_seed(recipe.seed)
    vae = AutoencoderKLWan(
        base_dim=recipe.base_dim,
        z_dim=recipe.channels,
        dim_mult=[1],
        num_res_blocks=recipe.blocks,
        temperal_downsample=[],
        in_channels=folded,
        out_channels=folded,
        patch_size=recipe.patch,
        scale_factor_temporal=1,
        scale_factor_spatial=recipe.patch,
        latents_mean=[0.0] * recipe.channels,
        latents_std=[1.0] * recipe.channels,
    )
    for convolution in causal_convolutions(vae):
        convolution.weight.data[:, :, :-1] = 0.0
    drop_earlier_taps(vae)
    return vae.eval()


def train_autoencoder(
    vae: Any,
    frames: NDArray[np.uint8],
    held_out: NDArray[np.uint8],
    recipe: AutoencoderRecipe,
    *,
    report: Callable[[Progress], None] | None = None,
    reports: int = 20,
) -> None:
    """Train in place and write the latents' mean and deviation into the configuration.

    loss = mean (x̂ − x)² + a·mean |x̂ − x| + k·KL / latent values, x in [−1, 1].

    Args:
        frames: (N, H, W, 3) uint8 to learn from.
        held_out: (M, H, W, 3) uint8 that `report` is computed on.
        report: Called `reports` times.
    """
    generator = np.random.default_rng(recipe.seed)
    optimizer = torch.optim.AdamW(vae.parameters(), recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    started = time.perf_counter()
    start_at_principal_components(vae, _signed(frames[generator.permutation(len(frames))[:256]]))
    vae.train()
    for step in range(recipe.steps):
        done = step / recipe.steps
        rate = recipe.learning_rate * min(1.0, (step + 1) / 30)
        for options in optimizer.param_groups:
            options["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        x = _signed(frames[generator.integers(0, len(frames), recipe.batch_frames)])
        posterior = vae.encode(x).latent_dist
        error = vae.decode(posterior.sample(), return_dict=False)[0] - x
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        loss = error.square().mean() + recipe.absolute * error.abs().mean() + recipe.kl * kl
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        if report is not None and (step + 1) % max(1, recipe.steps // reports) == 0:
            report(Progress(step + 1, _psnr(vae, held_out), time.perf_counter() - started))
    _standardise(vae, frames[generator.permutation(len(frames))[:512]], recipe.flatten)
    vae.eval()
    # AdamW's decay acts on the unused taps too, but from zero it keeps them at zero
    if not only_present_taps(vae):
        raise SpecError("An unused tap of the autoencoder has been trained.", "Build it with `build`.")


def reconstruction_psnr_db(vae: Any, clips: NDArray[np.uint8]) -> float:
    """Mean over frames of 10·log10(255² / MSE) of (B, T, H, W, 3) clips that went through the codec, as clips."""
    codec = WanCodec(vae)
    errors = []
    for clip in clips:
        video = to_signed(torch.from_numpy(clip[None].copy()))
        made = to_frames(codec.decode(codec.encode(video)))
        errors.append((made.float() - torch.from_numpy(clip).float()).square().flatten(2).mean(dim=2))
    return float((10 * torch.log10(255**2 / torch.cat(errors).clamp_min(1e-3))).mean())


def assemble(vae: Any, recipe: AutoencoderRecipe, directory: Path, *, context: int) -> None:
    """Write a whole base in diffusers' layout: the autoencoder and an untrained denoiser that fits it."""
    from diffusers import UniPCMultistepScheduler, WanTransformer3DModel

    from drivereplay.models import layout
    from drivereplay.models.wan import SCHEDULER, TINY, Wan

    codec = WanCodec(vae)
    # as many channels in as out: the context's latents are given at timestep 0, as in Wan 2.2 TI2V
    channels = {"in_channels": codec.channels, "out_channels": codec.channels}
    with layout.seeded(recipe.seed):
        module = layout.built(WanTransformer3DModel, {**TINY, **channels, **recipe.transformer})
    start_at_last_frame(module, seed=recipe.seed)
    scheduler = UniPCMultistepScheduler(**{**SCHEDULER, "flow_shift": recipe.flow_shift})
    Wan(module, codec, scheduler, context=context, origin=layout.Origin(Wan.pipelines[0])).save(directory)


def load_recipe(path: Path) -> AutoencoderRecipe:
    """Read a recipe.

    Raises:
        SpecError: The file cannot be read, or a value is wrong.
    """
    try:
        return validated(AutoencoderRecipe, load_yaml(path.read_bytes()))
    except (OSError, StrictYamlError, pydantic.ValidationError) as error:
        raise SpecError(f"{path} is no recipe of an autoencoder: {error}.", "See experiments/README.md.") from error


def main(arguments: list[str] | None = None) -> None:
    """The command line: RECIPE --out DIRECTORY."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="directory of the base that is written")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    spec = load_spec(options.recipe.parent / recipe.data)
    frames = world_frames(spec, "train", recipe.clips)
    held_out = world_frames(spec, "evaluation", max(1, recipe.clips // 8))
    vae = build(recipe)

    def show(progress: Progress) -> None:
        print(f"step {progress.step}  {progress.psnr_db:.2f} dB  {progress.seconds:.0f} s", flush=True)

    flat = frames.reshape(-1, *frames.shape[2:])
    train_autoencoder(vae, flat, held_out[:, ::4].reshape(-1, *frames.shape[2:])[:128], recipe, report=show)
    figure = reconstruction_psnr_db(vae, held_out)
    assemble(vae, recipe, options.out, context=spec.clip.context)
    summary = {"reconstruction_psnr_db": round(figure, 2), "frames": len(flat), "held_out_clips": len(held_out)}
    print(json.dumps(summary))


def _signed(frames: NDArray[np.uint8]) -> Tensor:
    return to_signed(torch.from_numpy(frames[:, None]))


@torch.no_grad()
def _psnr(vae: Any, frames: NDArray[np.uint8]) -> float:
    errors = []
    for start in range(0, len(frames), 32):
        x = _signed(frames[start : start + 32])
        made = vae.decode(vae.encode(x).latent_dist.mode(), return_dict=False)[0]
        errors.append((made - x).square().flatten(1).mean(dim=1))
    return float((10 * torch.log10(4.0 / torch.cat(errors).clamp_min(1e-6))).mean())


@torch.no_grad()
def _standardise(vae: Any, frames: NDArray[np.uint8], flatten: float) -> None:
    """So that the denoiser sees latents of mean 0 and mean square 1, loud channels somewhat louder than faint ones."""
    latents = torch.cat([vae.encode(_signed(frames[n : n + 32])).latent_dist.mode() for n in range(0, len(frames), 32)])
    mean, std = latents.mean(dim=(0, 2, 3, 4)), latents.std(dim=(0, 2, 3, 4))
    divisor = std**flatten
    divisor *= (std / divisor).square().mean().sqrt()
    vae.register_to_config(latents_mean=mean.tolist(), latents_std=divisor.tolist())


if __name__ == "__main__":
    main()
