"""The interface of a model family: what training, evaluation and generation ask of any video model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from drivereplay.models.levels import Levels
from drivereplay.models.text import PromptCache, encoder_fingerprint
from drivereplay.spec import TrainingSpec

if TYPE_CHECKING:
    from drivereplay.spec import Spec
    from drivereplay.storage import Storage


@dataclass(frozen=True)
class Conditions:
    """What a batch of B samples is conditioned on besides its context frames.

    Attributes:
        prompts: (B,) text; empty strings for models or runs without text.
        fps: Frames per second of the clips.
        given: What the family derived from the context frames (`VideoModel.conditions`); tensors whose first axis is B.
            Empty when a caller only knows text and fps, as before `generate`, which derives it itself.
        guidance: Classifier-free guidance of `generate` (arXiv 2207.12598): x_u + g·(x_c − x_u); 1 is none.
    """

    prompts: Sequence[str]
    fps: float
    given: Mapping[str, Tensor] = field(default_factory=dict)
    guidance: float = 1.0

    def part(self, start: int, stop: int) -> Conditions:
        """The conditions of samples start … stop−1."""
        return self.rows(range(start, stop))

    def rows(self, rows: Sequence[int]) -> Conditions:
        """The conditions of the samples with these places in the batch."""
        given = {name: tensor[list(rows)] for name, tensor in self.given.items()}
        return Conditions([self.prompts[row] for row in rows], self.fps, given, self.guidance)


class VideoModel(ABC):
    """One diffusers video model with its codec (autoencoder), noise schedule and objective.

    A family is one file in `drivereplay.models` with one subclass. Nothing outside that file names the family.
    Frames go in and out as uint8 RGB `(B, T, H, W, 3)`; latents are float `(B, C, t, h, w)`.
    """

    family: ClassVar[str]
    """The name in `model.family`."""
    lora_targets: ClassVar[tuple[str, ...]]
    """Module names that LoRA adapts by default."""
    layer_groups: ClassVar[dict[str, tuple[str, ...]]]
    """Name patterns (fnmatch) of the parameters of the `temporal` and `spatial` layers."""
    blocks: ClassVar[str] = ""
    """Name of the denoiser's list of blocks, where attention is over space and time at once; see `groups`."""
    pipelines: ClassVar[tuple[str, ...]]
    """Pipeline classes in `model_index.json` that belong to the family; `save` writes the first for a new model."""

    part: str = "transformer"
    """Name of the denoiser in the family's pipeline."""

    module: Any
    """The denoiser: an `nn.Module` of diffusers (which is untyped), the only part that is trained."""
    config: Any
    """The denoiser's configuration."""
    context: int
    """Leading frames that are given."""
    training: TrainingSpec = TrainingSpec()
    """How it is trained, as far as the family decides on it: noise levels, noise on the condition image."""

    @classmethod
    @abstractmethod
    def random(cls, spec: Spec) -> VideoModel:
        """A new model with random weights from `spec.seed`, tiny unless `spec.model.config` says otherwise.

        Raises:
            ModelError: The configuration or the clip size does not fit.
        """

    @classmethod
    @abstractmethod
    def open(cls, directory: Path, *, context: int) -> VideoModel:
        """Read a directory in diffusers' layout, a stock one or one that `save` wrote.

        Raises:
            ModelError: A part is missing or does not fit.
        """

    @abstractmethod
    def check(self, frames: int, height: int, width: int) -> None:
        """Refuse clip sizes that the model cannot take.

        Raises:
            ModelError: Names the nearest size that works.
        """

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, t, h, w) float32, scaled, of frames (B, T, H, W, 3) uint8. Deterministic, no gradient."""

    def conditions(self, frames: Tensor, prompts: Sequence[str], fps: float) -> Conditions:
        """Everything that `loss` and `predict` are conditioned on, for clips (B, T, H, W, 3) uint8 with known context.

        Only the first `context` frames are looked at.
        """
        return Conditions(list(prompts), fps)

    condition_dropout: ClassVar[float] = 0.0
    """Share of samples that the family's own trainer trains without condition; 0 where it is not public."""

    def without_condition(self, conditions: Conditions, dropped: Sequence[bool]) -> Conditions:
        """The conditions with those of the `dropped` samples (B,) taken away: what guidance calls unconditional."""
        prompts = ["" if drop else prompt for prompt, drop in zip(conditions.prompts, dropped, strict=True)]
        return replace(conditions, prompts=prompts)

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Frames (B, T, H, W, 3) uint8 of latents (B, C, t, h, w)."""

    @abstractmethod
    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        """The training distribution of noise levels (timesteps or σ), (B,), from uniforms in [0, 1), (B,).

        Args:
            uniforms: In [0, 1).
            shape: Of one sample's latents (C, t, h, w): larger clips need more noise to be as hard to see through.
        """

    def default_levels(self) -> Levels:
        """The distribution of the family's own trainer, which `training.noise_levels` changes."""
        return Levels()

    @property
    def levels(self) -> Levels:
        """The distribution that this model is trained on."""
        return self.default_levels().changed(self.training.noise_levels)

    def tokens(self, shape: Sequence[int]) -> int:
        """Latent tokens of one sample (C, t, h, w): what attention sees, by which noise levels are shifted."""
        patch = getattr(self.config, "patch_size", 1)
        step, side = (patch[0], patch[1]) if isinstance(patch, tuple | list) else (1, int(patch or 1))
        _, t, h, w = shape
        return (t // step) * (h // side) * (w // side)

    @abstractmethod
    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        """Latents and conditions of the right shapes where the model is, for counting on the meta device."""

    @abstractmethod
    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        """The denoiser's raw output (B, C, t, h, w) for latents noised to `levels`: what distillation compares.

        Args:
            latents: (B, C, t, h, w) from `encode`.
            noise: Same shape, standard normal.
            levels: (B,) from `noise_levels`.
            conditions: From `conditions`.
        """

    @abstractmethod
    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        """The family's training loss of each sample, (B,) float32, given what `predict` returned for them."""

    def loss(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        """The family's training loss of each sample, (B,) float32, context frames given; one forward pass."""
        return self.loss_of(self.predict(latents, noise, levels, conditions), latents, noise, levels, conditions)

    @abstractmethod
    def generate(
        self, context: Tensor, frames: int, seeds: Sequence[int], denoising_steps: int, conditions: Conditions
    ) -> Tensor:
        """Clips (B, frames, H, W, 3) uint8 whose first `context.shape[1]` frames are the given ones.

        Sampling noise of sample i comes from `seeds[i]` alone, so that a clip does not depend on its batch.

        Args:
            context: (B, Tc, H, W, 3) uint8.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write the whole model in diffusers' layout; `from_pretrained` of diffusers reads it without this package."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the codec's weights and settings: the key of cached latents."""

    def keep_text(self, place: Storage) -> None:
        """Keep embedded prompts below `place`, for all runs and workers that see it, if there is a text encoder."""
        origin = getattr(self, "origin", None)
        caches = {name: value for name, value in vars(self).items() if isinstance(value, PromptCache)}
        if not caches or origin is None or origin.directory is None or not origin.has("text_encoder"):
            return
        parts = [name for name in origin.index if name.startswith(("text_encoder", "tokenizer")) and origin.has(name)]
        made = encoder_fingerprint([origin.folder(name) for name in sorted(parts)])
        for name, cache in caches.items():
            # two pipelines may share an encoder and cut prompts at different lengths
            pipeline = type(getattr(self, "pipeline", self)).__name__
            cache.keep(place.below(f"{self.family}-{pipeline}-{made}-{name}"))

    def embed_prompts(self, prompts: Sequence[str]) -> None:  # noqa: B027 - families without text have nothing to do
        """Embed prompts now, so that whoever shares the place of `keep_text` finds them."""

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Name patterns of the parameters of each layer group that `adapter.freeze` may name.

        Families whose attention is over space and time at once have no `temporal` and `spatial` layers; theirs are the
        `early` and `late` half of the blocks, and the `attention` and `feed_forward` of all.
        """
        if not self.blocks:
            return dict(self.layer_groups)
        count = len(self.module.get_submodule(self.blocks))
        halves = (range(count // 2), range(count // 2, count))
        early, late = (tuple(f"{self.blocks}.{number}.*" for number in half) for half in halves)
        joint = {"attention": (f"{self.blocks}.*.attn*",), "feed_forward": (f"{self.blocks}.*.ff*",)}
        return {**self.layer_groups, "early": early, "late": late, **joint}

    def frozen_bytes(self) -> dict[str, int]:
        """Bytes of the parts besides the denoiser that stay on the device while it is trained, by name."""
        return {}

    @property
    def has_autoencoder(self) -> bool:
        """Whether `encode` costs enough to keep what it makes."""
        return True

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        device: torch.device = next(self.module.parameters()).device
        return device

    def to(self, device: torch.device | str) -> VideoModel:
        """Move all parts to `device`."""
        self.module.to(device)
        return self
