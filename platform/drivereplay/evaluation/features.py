"""The small video encoder that ships with the project, for a Fréchet video distance that needs no downloads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drivereplay.errors import DriveReplayError

SHIPPED = Path(__file__).with_name("shipped") / "encoder"
WEIGHTS, CONFIG = "model.safetensors", "config.json"


class WorldsEncoder(nn.Module):
    """A 3-D convolutional network from frames to one feature vector; trained on the simulated worlds.

    Frames are resized by area to (height, width). Any number of frames from 2 up goes in: features are the mean over
    space and time. Under 700,000 parameters.

    Args:
        channels: Channels of the four stages.
        features: D, the length of the feature vector.
        height, width: Size at which it looks.
    """

    def __init__(
        self, channels: Sequence[int] = (32, 64, 96, 128), features: int = 64, height: int = 32, width: int = 48
    ) -> None:
        super().__init__()
        self.config = {"channels": list(channels), "features": features, "height": height, "width": width}
        self.size = (height, width)
        stages: list[nn.Module] = []
        strides = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 1, 1))
        before = 3
        for number, (after, stride) in enumerate(zip(channels, strides, strict=True)):
            kernel = (3, 5, 5) if number == 0 else (3, 3, 3)
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            stages += [nn.Conv3d(before, after, kernel, stride, padding), nn.GroupNorm(8, after), nn.SiLU()]
            before = after
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(before, features)

    def forward(self, frames: Tensor) -> Tensor:
        """Features (N, D) float32 of frames (N, T, H, W, 3) uint8."""
        count, length = frames.shape[:2]
        pixels = frames.permute(0, 1, 4, 2, 3).reshape(-1, 3, *frames.shape[2:4]).float() / 127.5 - 1
        if pixels.shape[-2:] != self.size:
            pixels = nn.functional.interpolate(pixels, self.size, mode="area")
        video = pixels.reshape(count, length, 3, *self.size).transpose(1, 2)
        features: Tensor = self.head(self.stages(video).mean(dim=(2, 3, 4)))
        return features

    def save(self, directory: Path) -> None:
        """Write `model.safetensors` and `config.json`."""
        from safetensors.torch import save_file

        directory.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, directory / WEIGHTS)
        (directory / CONFIG).write_text(json.dumps(self.config, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, directory: Path = SHIPPED) -> WorldsEncoder:
        """The encoder in a directory, in evaluation mode.

        Raises:
            DriveReplayError: It is not there.
        """
        from safetensors.torch import load_file

        if not (directory / WEIGHTS).is_file():
            raise DriveReplayError(f"There is no video encoder in {directory}.", "Install a complete drivereplay.")
        config: dict[str, Any] = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        encoder = cls(**config)
        encoder.load_state_dict(load_file(directory / WEIGHTS))
        return encoder.eval().requires_grad_(False)


@cache
def shipped_encoder() -> WorldsEncoder:
    """The encoder that ships with the project, loaded once."""
    return WorldsEncoder.load()


@cache
def shipped_sha256() -> str | None:
    """SHA-256 of the shipped encoder's weights, or None where they are missing."""
    file = SHIPPED / WEIGHTS
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


def worlds_features(videos: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Features (N, D) of videos (T, H, W, 3) of one shape."""
    with torch.inference_mode():
        return np.asarray(shipped_encoder()(torch.from_numpy(np.stack(videos))).numpy())
