"""Futures from a model: in batches, each clip's noise from its own seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.errors import DriveReplayError

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel


def clip_seed(seed: int, clip: str, sample: int) -> int:
    """Seed of the sampling noise of one generated clip, 63 bits; it does not depend on the batch or the other clips."""
    digest = hashlib.sha256(f"{seed}\0{clip}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generate_futures(
    model: VideoModel, clips: Sequence[Clip], *, samples: int, seed: int, denoising_steps: int, prompt: str = ""
) -> NDArray[np.uint8]:
    """k generated videos (k, B, T, H, W, 3) uint8 of each of B clips, context first.

    The context frames of the result are the given ones, whatever the model's codec made of them: they are never judged.

    Raises:
        DriveReplayError: The model gave another shape or type than asked for.
    """
    import torch

    from drivereplay.models.base import Conditions

    frames, context = len(clips[0].frames), clips[0].context
    given = torch.from_numpy(np.stack([c.frames[:context] for c in clips])).to(model.device)
    conditions = Conditions(prompts=[prompt] * len(clips), fps=clips[0].fps)
    made = []
    for sample in range(samples):
        seeds = [clip_seed(seed, clip.name, sample) for clip in clips]
        with torch.no_grad():
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
