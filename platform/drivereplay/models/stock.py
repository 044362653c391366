"""What families that sit on a stock pipeline share: reading, saving, text, and generation through the pipeline."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor

from drivereplay.errors import ModelError
from drivereplay.models import foreign, layout, lora
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.models.codec import module_bytes, module_fingerprint, to_frames, to_signed
from drivereplay.models.text import PromptCache


class StockModel(VideoModel):
    """A family whose parts are held by its diffusers pipeline, which also generates.

    Attributes:
        pipeline: The stock pipeline; text encoder and tokenizer are read when a prompt is embedded, and not kept.
        vae: Its autoencoder, frozen.
        origin: Where it was read from.
    """

    def __init__(self, pipeline: Any, *, context: int, origin: layout.Origin) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline
        self.module = getattr(pipeline, self.part)
        self.config = self.module.config
        self.vae = pipeline.vae.eval().requires_grad_(False)
        self.context = context
        self.origin = origin
        self.text = PromptCache()
        self._check_context(context)

    @classmethod
    @abstractmethod
    def stock(cls) -> Any:
        """The pipeline class that generates."""

    @classmethod
    def stock_of(cls, directory: Path) -> Any:
        """The pipeline class that generates with the base in `directory`, where versions of a family differ."""
        return cls.stock()

    @classmethod
    def _stand_ins(cls, directory: Path) -> dict[str, Any]:
        """Parts without weights that the pipeline insists on and that no directory holds, by name."""
        return {}

    def _notes(self) -> dict[str, Any]:
        """What a checkpoint's card says besides family and context."""
        return {}

    @abstractmethod
    def _check_context(self, context: int) -> None:
        """Refuse numbers of context frames that the family cannot be given."""

    @abstractmethod
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        """One clip (frames, 3, H, W) in [0, 1] from the pipeline, for context (Tc, H, W, 3) uint8."""

    # ---------------------------------------------------------------- made and kept
    @classmethod
    def open(cls, directory: Path, *, context: int) -> Self:
        origin = layout.Origin.of(directory)
        stock = cls.stock_of(directory)
        module = layout.read_part(layout.part_class(directory, cls.part), directory, cls.part)
        lora.merge_saved(module, directory, cls.part)
        parts: dict[str, Any] = {cls.part: module}
        parts |= {name: None for name in ("text_encoder", "tokenizer") if origin.has(name)}
        parts |= cls._stand_ins(directory)
        return cls(layout.read_pipeline(stock, directory, parts), context=context, origin=origin)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        lora.write_denoiser(self.module, self.origin, directory, self.part)
        parts: dict[str, Any] = {self.part: self.module}
        for name, component in self.pipeline.components.items():
            if name == self.part:
                continue
            # a stand-in cannot be saved; the stock pipeline is given the part that it stands for
            kept = component if component is None or hasattr(component, "save_pretrained") else None
            parts[name] = kept
            if self.origin.has(name):
                self.origin.link(name, directory)
            elif kept is not None:
                kept.save_pretrained(directory / name)
        layout.write_index(directory, type(self.pipeline).__name__, self.origin, parts, {})
        layout.write_card(directory, family=self.family, context=self.context, **self._notes())

    def fingerprint(self) -> str:
        return module_fingerprint(self.vae)

    def to(self, device: torch.device | str) -> Self:
        for component in self.pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                component.to(device)
        self.module.to(device)
        return self

    # ---------------------------------------------------------------- text
    def _text_pipeline(self) -> Any:
        """The stock pipeline with nothing in it but what embeds text.

        Raises:
            ModelError: The base has no text encoder.
        """
        encoder, tokenizer = (getattr(self.pipeline, name, None) for name in ("text_encoder", "tokenizer"))
        if encoder is None:
            if not self.origin.has("text_encoder"):
                raise ModelError(
                    f"This {self.family} base has no text encoder.", "Give a complete diffusers directory."
                )
            import transformers

            read = {}
            for name in ("text_encoder", "tokenizer"):
                cls = getattr(transformers, str(self.origin.index[name][1]))
                read[name] = foreign.load(cls, self.origin.folder(name))
            encoder, tokenizer = read["text_encoder"], read["tokenizer"]
        # several pipelines ask their autoencoder for its sizes when they are made
        others = {
            name: component if name == "vae" or not hasattr(component, "save_pretrained") else None
            for name, component in self.pipeline.components.items()
            if name not in ("text_encoder", "tokenizer")
        }
        return type(self.pipeline)(text_encoder=encoder, tokenizer=tokenizer, **others)

    def embed_prompts(self, prompts: Sequence[str]) -> None:
        if self.origin.has("text_encoder"):
            self.text.of(prompts, torch.device("cpu"), self._embed)

    def frozen_bytes(self) -> dict[str, int]:
        # text encoders are read to embed a prompt, and let go
        return {
            name: module_bytes(component)
            for name, component in self.pipeline.components.items()
            if isinstance(component, torch.nn.Module) and name != self.part and not name.startswith("text_encoder")
        }

    def _embed(self, prompt: str) -> Tensor:
        """Embedding (L, D) of one prompt; families with other conditions than text override it."""
        with torch.no_grad():
            embedded: Tensor = self._text_pipeline().encode_prompt(prompt, do_classifier_free_guidance=False)[0]
        return embedded[0].float()

    def _unguided(self, given: Conditions) -> Tensor | None:
        """Embedding (B, L, D) of the empty prompt, which guidance moves away from; None without guidance."""
        return None if given.guidance == 1 else self.text.of([""] * len(given.prompts), self.device, self._embed)

    # ---------------------------------------------------------------- frames
    def _signed(self, frames: Tensor) -> Tensor:
        """(B, T, H, W, 3) uint8 → (B, 3, T, H, W) in [-1, 1], where the model is."""
        return to_signed(frames.to(self.device))

    def _frames(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] → (B, T, H, W, 3) uint8."""
        return to_frames(video)

    def generate(
        self, context: Tensor, frames: int, seeds: Sequence[int], denoising_steps: int, conditions: Conditions
    ) -> Tensor:
        self.check(frames, int(context.shape[2]), int(context.shape[3]))
        training = self.module.training
        self.module.eval()
        clips = []
        # one clip at a time: several of the stock pipelines take one condition for a whole batch
        for row, seed in enumerate(seeds):
            generator = torch.Generator().manual_seed(int(seed))
            with torch.no_grad():
                video = self._video(
                    context[row].cpu(), frames, generator, denoising_steps, conditions.part(row, row + 1)
                )
            clip = (video.float().clamp(0, 1) * 255).round().to(torch.uint8).movedim(1, -1)
            clip[: context.shape[1]] = context[row].to(clip.device)
            clips.append(clip)
        self.module.train(training)
        return torch.stack(clips)


def picture(frame: Tensor) -> Image.Image:
    """A frame (H, W, 3) uint8 as the pipelines take pictures."""
    return Image.fromarray(frame.cpu().numpy())


def one_frame(family: str, context: int) -> None:
    """For families that are conditioned on a single picture.

    Raises:
        ModelError: `context` is not 1.
    """
    if context != 1:
        raise ModelError(
            f"clip.context is {context}, but {family} is conditioned on one frame.", "Set clip.context to 1."
        )


def check_grid(height: int, width: int, cell: int) -> None:
    """Refuse pictures that are no multiple of `cell` pixels.

    Raises:
        ModelError: Names the nearest size that works.
    """
    if height % cell or width % cell:
        near = f"{max(cell, round(height / cell) * cell)} × {max(cell, round(width / cell) * cell)}"
        raise ModelError(
            f"clip.height × clip.width = {height} × {width} must be multiples of {cell} for this model.",
            f"The nearest size is {near}.",
        )


def check_frames(frames: int, ratio: int, key: str = "clip.frames") -> None:
    """Refuse numbers of frames that are not 1 + ratio·k.

    Raises:
        ModelError: Names the nearest number that works.
    """
    if (frames - 1) % ratio:
        near = max(0, round((frames - 1) / ratio)) * ratio + 1
        raise ModelError(f"{key} = {frames} must be 1 + {ratio}·k for this model.", f"The nearest number is {near}.")
