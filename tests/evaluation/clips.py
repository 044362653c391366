"""Small synthetic clips with exact annotations, and a model that is none, for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from drivereplay.domains.recording import Clip, ClipAnnotations
from drivereplay.spec import Spec, parse_spec


def texture(rng: np.random.Generator, height: int, width: int, blur: float = 1.5) -> np.ndarray:
    """A smooth random picture of full contrast, (H, W, 3) uint8."""
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (height, width, 3)), (0, 0), blur)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def annotations(boxes: np.ndarray, **known: Any) -> ClipAnnotations:
    """Annotations of boxes (T, N, 4), everything else unknown."""
    frames, count = boxes.shape[:2]
    values = {
        "ids": np.arange(count),
        "classes": np.array(["car"] * count),
        "boxes_px": boxes.astype(np.float32),
        "visible": np.isfinite(boxes).all(-1).astype(np.float32),
        "poses": np.full((frames, 4, 4), np.nan),
        "intrinsics_px": np.full((frames, 3, 3), np.nan),
        "positions_m": np.full((frames, count, 3), np.nan),
        "sizes_m": np.full((count, 3), np.nan, np.float32),
        "headings_rad": np.full((frames, count), np.nan, np.float32),
    }
    return ClipAnnotations(**{**values, **known})


def make_clip(
    number: int = 0,
    *,
    frames: int = 8,
    height: int = 48,
    width: int = 64,
    context: int = 2,
    velocity: tuple[float, float] = (1.5, 0.5),
    pan: int = 1,
    annotated: bool = True,
    subset: str = "",
) -> Clip:
    """A textured square of 14 px that moves at `velocity` px per frame before a background that pans."""
    rng = np.random.default_rng(number)
    side = 14
    background = texture(rng, height, width + pan * frames, 2.0)
    square = texture(rng, side, side, 2.0)
    pictures, boxes = [], []
    for t in range(frames):
        x, y = 8 + round(velocity[0] * t), 10 + round(velocity[1] * t)
        picture = background[:, pan * t : pan * t + width].copy()
        picture[y : y + side, x : x + side] = square
        pictures.append(picture)
        boxes.append([[x, y, x + side, y + side]])
    known = annotations(np.array(boxes, dtype=np.float64)) if annotated else None
    return Clip(f"test/{number}@0.0", "test", np.stack(pictures), context, 8.0, subset, known)


class StandInModel:
    """Repeats the last given frame with a little noise from the seed: something to judge that takes no time."""

    def __init__(self, *, codec_loss: int = 0) -> None:
        self.device = torch.device("cpu")
        self.module = torch.nn.Identity()
        self.codec_loss = codec_loss
        self.calls = 0

    def generate(
        self, context: torch.Tensor, frames: int, seeds: Sequence[int], denoising_steps: int, conditions: Any
    ) -> torch.Tensor:
        self.calls += 1
        made = []
        for given, seed in zip(context, seeds, strict=True):
            noise = torch.randint(0, 20, (frames, *given.shape[1:]), generator=torch.Generator().manual_seed(seed))
            made.append((given[-1].int() + noise).clamp(0, 255).to(torch.uint8))
        return torch.stack(made)

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents.int() + self.codec_loss).clamp(0, 255).to(torch.uint8)

    def fingerprint(self) -> str:
        return f"stand-in-{self.codec_loss}"


def make_spec(**evaluation: Any) -> Spec:
    """An experiment whose evaluation keeps no videos."""
    return parse_spec(
        {
            "name": "judged",
            "target": {"name": "test", "source": {"kind": "videos", "path": "/nowhere"}},
            "evaluation": {"videos": 0, "batch_size": 4, "resamples": 200, **evaluation},
        }
    )
