"""Codecs: from frames to latents and back. A pixel codec that needs no weights, and diffusers' Wan autoencoder."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from drivereplay.errors import ModelError
from drivereplay.models import memo, stills

PIXEL_DIRECTORY = "codec"


def to_signed(frames: Tensor) -> Tensor:
    """uint8 RGB (B, T, H, W, 3) → float32 (B, 3, T, H, W) in [-1, 1]; the arithmetic of diffusers' `VideoProcessor`."""
    return frames.movedim(-1, 1).float().div_(255.0).mul_(2.0).sub_(1.0)


def to_frames(video: Tensor) -> Tensor:
    """Float (B, 3, T, H, W) in [-1, 1] → uint8 RGB (B, T, H, W, 3); values outside are clamped."""
    return video.float().mul(0.5).add(0.5).clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8).movedim(1, -1)


class Codec(ABC):
    """Maps frames to latents and back.

    Attributes:
        channels: Latent channels C.
        temporal: Frames per latent frame after the first one; 1 where time is not compressed.
        spatial: Pixels per latent cell along height and width.
        directory: Name of its folder in a checkpoint.
    """

    channels: int
    temporal: int
    spatial: int
    directory: ClassVar[str]

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Latents (B, C, t, h, w) float32, normalised, of a video (B, 3, T, H, W) in [-1, 1]. Deterministic."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Video (B, 3, T, H, W) in about [-1, 1] of latents (B, C, t, h, w)."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write it below the checkpoint `directory`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of weights and settings."""

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a clip of `frames` frames."""
        return (frames - 1) // self.temporal + 1

    def check(self, frames: int, height: int, width: int, patch: int = 1) -> None:
        """Refuse sizes that cannot be encoded.

        Args:
            patch: Latent cells per side of a denoiser's patch.

        Raises:
            ModelError: Names the nearest size that works.
        """
        cell = self.spatial * patch
        if height % cell or width % cell:
            near = f"{max(cell, round(height / cell) * cell)} × {max(cell, round(width / cell) * cell)}"
            raise ModelError(
                f"clip.height × clip.width = {height} × {width} must be multiples of {cell} for this model.",
                f"The nearest size is {near}.",
            )
        if (frames - 1) % self.temporal:
            near_frames = max(1, round((frames - 1) / self.temporal)) * self.temporal + 1
            raise ModelError(
                f"clip.frames = {frames} must be 1 + {self.temporal}·k for this model's autoencoder.",
                f"The nearest number is {near_frames}.",
            )

    @abstractmethod
    def to(self, device: torch.device | str) -> None:
        """Move weights, where there are any."""


class PixelCodec(Codec):
    """Space-to-depth of the pixels themselves: invertible to the last bit of uint8, no weights, no loss.

    Each p × p block of a frame becomes 3p² channels, divided by `std` so that their variance is near 1, as a diffusion
    model expects of its latents.
    """

    directory = PIXEL_DIRECTORY
    temporal = 1

    def __init__(self, patch: int = 4, std: float = 0.5) -> None:
        self.spatial = patch
        self.channels = 3 * patch * patch
        self.std = std

    def encode(self, video: Tensor) -> Tensor:
        b, c, t, height, width = video.shape
        p = self.spatial
        blocks = video.float().reshape(b, c, t, height // p, p, width // p, p)
        # channel order: colour, row, column
        return blocks.permute(0, 1, 4, 6, 2, 3, 5).reshape(b, c * p * p, t, height // p, width // p) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        b, _, t, h, w = latents.shape
        p = self.spatial
        blocks = (latents.float() * self.std).reshape(b, 3, p, p, t, h, w)
        return blocks.permute(0, 1, 4, 5, 2, 6, 3).reshape(b, 3, t, h * p, w * p)

    @property
    def config(self) -> dict[str, Any]:
        """What `save` writes."""
        return {"_class_name": "PixelCodec", "patch": self.spatial, "std": self.std}

    def save(self, directory: Path) -> None:
        target = directory / self.directory
        target.mkdir(parents=True, exist_ok=True)
        (target / "config.json").write_text(json.dumps(self.config, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, directory: Path) -> PixelCodec:
        """Read what `save` wrote below `directory`."""
        config = json.loads((directory / cls.directory / "config.json").read_text(encoding="utf-8"))
        return cls(patch=int(config["patch"]), std=float(config["std"]))

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode()).hexdigest()[:16]

    def to(self, device: torch.device | str) -> None:
        """There are no weights; what comes in decides the device."""


class WanCodec(Codec):
    """diffusers' `AutoencoderKLWan`: the mode of the posterior, standardised by the config's means and deviations."""

    directory = "vae"

    def __init__(self, vae: Any) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.channels = int(vae.config.z_dim)
        self.temporal = int(vae.config.scale_factor_temporal)
        self.spatial = int(vae.config.scale_factor_spatial)
        self._fingerprint = ""
        self._still = stills.only_present_taps(vae)
        if self._still:
            stills.drop_earlier_taps(vae)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, self.channels, 1, 1, 1)
        mean = torch.tensor(self.vae.config.latents_mean).view(shape).to(like.device, like.dtype)
        # the reciprocal, then a product: the order of operations of diffusers' pipelines, so that results are equal
        return mean, (1.0 / torch.tensor(self.vae.config.latents_std).view(shape)).to(like.device, like.dtype)

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        video = video.to(next(self.vae.parameters()).device, self.vae.dtype)
        if video.device.type == "cpu" and not self.vae.training:
            return memo.SHARED.encode(video, self.fingerprint(), self._encode)
        return self._encode(video)

    def _encode(self, video: Tensor) -> Tensor:
        frames = video.shape[2]
        if self._still:
            return self._standardised(stills.by_frame(lambda x: self.vae.encode(x).latent_dist.mode().float(), video))
        # the class reads 1 + 4k frames whatever its compression, and drops the rest; it is causal, so what follows
        # does not matter
        video = torch.cat([video, video[:, :, -1:].expand(-1, -1, -(frames - 1) % 4, -1, -1)], dim=2)
        latents = self.vae.encode(video).latent_dist.mode().float()[:, :, : self.latent_frames(frames)]
        return self._standardised(latents)

    def _standardised(self, latents: Tensor) -> Tensor:
        mean, scale = self._statistics(latents)
        return (latents - mean) * scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        latents = latents.to(next(self.vae.parameters()).device, self.vae.dtype)
        mean, scale = self._statistics(latents)
        latents = latents / scale + mean
        if self._still:
            return stills.by_frame(lambda z: self.vae.decode(z, return_dict=False)[0].float(), latents)
        return self.vae.decode(latents, return_dict=False)[0].float()

    def save(self, directory: Path) -> None:
        self.vae.save_pretrained(directory / self.directory)

    def fingerprint(self) -> str:
        # frozen, so hashed once
        self._fingerprint = self._fingerprint or module_fingerprint(self.vae)
        return self._fingerprint

    def to(self, device: torch.device | str) -> None:
        self.vae.to(device)


def module_fingerprint(module: nn.Module) -> str:
    """Hash of a module's tensors and, where it has one, its configuration."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    config = getattr(module, "config", None)
    if config is not None:
        settings = {k: v for k, v in dict(config).items() if not k.startswith("_")}
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def module_bytes(module: nn.Module) -> int:
    """Bytes of a module's weights."""
    return sum(p.numel() * p.element_size() for p in module.parameters())
