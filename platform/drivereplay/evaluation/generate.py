"""Futures from a model: in batches, each clip's noise from its own seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.spec import Spec, load_spec

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel
    from drivereplay.models.precision import Precision


def clip_seed(seed: int, clip: str, sample: int) -> int:
    """Seed of the sampling noise of one generated clip, 63 bits; it does not depend on the batch or the other clips."""
    digest = hashlib.sha256(f"{seed}\0{clip}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generate_futures(
    model: VideoModel,
    clips: Sequence[Clip],
    *,
    samples: int,
    seed: int,
    denoising_steps: int,
    prompts: Sequence[str] | None = None,
    guidance: float = 1.0,
    precision: Precision = "fp32",
) -> NDArray[np.uint8]:
    """k generated videos (k, B, T, H, W, 3) uint8 of each of B clips, context first.

    The context frames of the result are the given ones, whatever the model's codec made of them: they are never judged.

    Args:
        prompts: Text condition of each clip; None means no text.

    Raises:
        DriveReplayError: The model gave another shape or type than asked for.
    """
    import torch

    from drivereplay.models.base import Conditions
    from drivereplay.models.precision import computing

    frames, context = len(clips[0].frames), clips[0].context
    given = torch.from_numpy(np.stack([c.frames[:context] for c in clips])).to(model.device)
    texts = list(prompts or [""] * len(clips))
    conditions = Conditions(prompts=texts, fps=clips[0].fps, guidance=guidance)
    made = []
    for sample in range(samples):
        seeds = [clip_seed(seed, clip.name, sample) for clip in clips]
        with torch.no_grad(), computing(model.module, precision):
            video = model.generate(given, frames, seeds, denoising_steps, conditions)
        if video.dtype != torch.uint8 or tuple(video.shape) != (len(clips), *clips[0].frames.shape):
            raise DriveReplayError(
                f"The model's generate gave {tuple(video.shape)} {video.dtype} where "
                f"{(len(clips), *clips[0].frames.shape)} uint8 was asked for.",
                "Choose a clip size and length that the model can make.",
            )
        array = video.cpu().numpy().copy()
        array[:, :context] = given.cpu().numpy()
        made.append(array)
    return np.stack(made)


def generate_file(
    checkpoint: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    frames: int | None = None,
    seed: int = 0,
    denoising_steps: int | None = None,
    device: str = "cpu",
) -> Path:
    """Continue a video: its first frames are given, the rest comes from the model.

    The clip's size, rate and length are those of the run that the checkpoint belongs to.

    Args:
        checkpoint: A checkpoint directory of a run, with the run's `spec.yaml` in it or above it.
        source: A video file that gives the context frames.
        out: The mp4 to write.
        frames: Frames to write, context included; None takes the run's clip length.
        seed: Seed of the sampling noise.
        denoising_steps: None takes the run's.

    Raises:
        SpecError: The checkpoint belongs to no run, or `frames` leaves nothing to generate.
        DataError: The video cannot be read or is too short.
    """
    from drivereplay.domains.mp4 import write_video
    from drivereplay.evaluation.videos import read_clip_file
    from drivereplay.models import load_checkpoint

    spec = _spec_of(Path(checkpoint))
    shape = spec.clip if frames is None else spec.clip.model_copy(update={"frames": frames})
    if shape.frames <= shape.context:
        raise SpecError(f"frames ({shape.frames}) must be more than the context of {shape.context} frames.")
    clip = read_clip_file(Path(source), shape)
    model = load_checkpoint(Path(checkpoint), device=device)
    steps = denoising_steps or spec.evaluation.denoising_steps
    prompt = spec.target.prompt or spec.model.prompt
    video = generate_futures(
        model,
        [clip],
        samples=1,
        seed=seed,
        denoising_steps=steps,
        prompts=[prompt],
        guidance=spec.evaluation.guidance,
        precision=spec.evaluation.precision,
    )[0, 0]
    write_video(out, video, clip.fps)
    return Path(out)


def _spec_of(checkpoint: Path) -> Spec:
    for directory in (checkpoint, *checkpoint.absolute().parents):
        if (directory / "spec.yaml").is_file():
            return load_spec(directory / "spec.yaml")
    raise SpecError(
        f"{checkpoint} belongs to no run: there is no spec.yaml in it or above it.",
        "Give a directory trials/<id>/checkpoints/step-N of a run.",
    )
