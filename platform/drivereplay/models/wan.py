"""Wan 2.1 and 2.2: diffusers' `WanTransformer3DModel`, flow matching, context frames as condition.

Two ways in which a Wan denoiser is told the context frames, found from its number of input channels:

- *concatenated* (image-to-video): input = [x_t, mask, latents of (context frames, then grey)] along channels;
- *expanded timesteps* (2.2 TI2V, and text-to-video bases): context latents replace the noisy ones at timestep 0, so
  that the denoiser sees a timestep for each token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor

from drivereplay.errors import ModelError
from drivereplay.models import foreign, layout, lora
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.models.codec import (
    PIXEL_DIRECTORY,
    Codec,
    PixelCodec,
    WanCodec,
    module_bytes,
    to_frames,
    to_signed,
)
from drivereplay.models.flow import velocity_loss
from drivereplay.models.levels import Levels
from drivereplay.models.noise import seeded_noise
from drivereplay.models.text import PromptCache

if TYPE_CHECKING:
    from drivereplay.spec import Spec

TINY: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 4,
    "attention_head_dim": 32,
    "text_dim": 32,
    "freq_dim": 64,
    "ffn_dim": 512,
    "num_layers": 4,
    "rope_max_seq_len": 1024,
}
"""Configuration of `base: random`: 1.3 million parameters, for tests and first steps on a laptop.

`model.config` may also say `pixel_patch: p`, the block of the pixel codec, or `vae: {...}`, an `AutoencoderKLWan` with
random weights in its place (`{}` is the published architecture).
"""

_EXPERTS = {"high": "transformer", "low": "transformer_2"}
"""Folder of each expert of Wan 2.2 A14B; a base with one denoiser has `transformer`."""

SCHEDULER: dict[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}


class Wan(VideoModel):
    """Wan image-to-video and text-to-video.

    Flow matching: x_t = (1 − σ)·x_0 + σ·ε, target v = ε − x_0, timestep = 1000·σ, with σ = s·u / (1 + (s − 1)·u) for a
    uniform u and the scheduler's `flow_shift` s, the same shift that generation uses.
    """

    family = "wan"
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    layer_groups: ClassVar[dict[str, tuple[str, ...]]] = {}  # attention is over space and time at once
    blocks = "blocks"
    pipelines = ("WanImageToVideoPipeline", "WanPipeline")

    def __init__(
        self,
        module: Any,
        codec: Codec,
        scheduler: Any,
        *,
        context: int,
        origin: layout.Origin,
        expert: Literal["high", "low"] | None = None,
    ) -> None:
        self.expert = expert
        self.part = _EXPERTS[expert or "high"]  # type: ignore[misc]
        self._other: Any = None
        self.module = module
        self.config = module.config
        self.codec = codec
        self.scheduler = scheduler
        self.context = context
        self.origin = origin
        self.text = PromptCache()
        self._image_encoder: Any = None
        channels = int(module.config.in_channels)
        if channels == codec.channels:
            from drivereplay.models.wan_timesteps import embed_two_timesteps

            self.expanded = True
            embed_two_timesteps(module)
            if (context - 1) % codec.temporal:
                raise ModelError(
                    f"clip.context = {context} must be 1 + {codec.temporal}·k: this base takes whole latent frames.",
                    f"The nearest number is {(context - 1) // codec.temporal * codec.temporal + 1}.",
                )
        elif channels == 2 * codec.channels + codec.temporal:
            self.expanded = False
        else:
            raise ModelError(
                f"The denoiser takes {channels} channels; with a codec of {codec.channels} it must be {codec.channels} "
                f"(text-to-video) or {2 * codec.channels + codec.temporal} (image-to-video).",
                "Correct model.config or take a base whose parts belong together.",
            )

    # ---------------------------------------------------------------- made and kept
    @classmethod
    def random(cls, spec: Spec) -> Wan:
        from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel

        options = dict(spec.model.config)
        vae = options.pop("vae", None)
        codec: Codec = PixelCodec(patch=int(options.pop("pixel_patch", 4)))
        with layout.seeded(spec.seed):
            if vae is not None:
                codec = WanCodec(layout.built(AutoencoderKLWan, vae))
            channels = {"in_channels": 2 * codec.channels + codec.temporal, "out_channels": codec.channels}
            config = {**TINY, **channels, **options}
            module = layout.built(WanTransformer3DModel, config)
        scheduler = UniPCMultistepScheduler(**SCHEDULER)
        model = cls(module, codec, scheduler, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))
        model.check(spec.clip.frames, spec.clip.height, spec.clip.width)
        return model

    @classmethod
    def open(cls, directory: Path, *, context: int, expert: Literal["high", "low"] | None = None) -> Wan:
        from diffusers import AutoencoderKLWan, WanTransformer3DModel

        origin = layout.Origin.of(directory)
        expert = expert or layout.read_notes(directory).get("expert")
        if origin.has("transformer_2") != (expert is not None):
            raise ModelError(
                f"{directory} has {'two denoisers' if origin.has('transformer_2') else 'one denoiser'},"
                f" but model.expert is {expert}.",
                "Set model.expert to high or low for a base with two denoisers (Wan 2.2 A14B), else leave it out.",
            )
        module = layout.read_part(WanTransformer3DModel, directory, _EXPERTS[expert or "high"])
        lora.merge_saved(module, directory, "transformer")
        codec: Codec
        if (directory / PIXEL_DIRECTORY).is_dir():
            codec = PixelCodec.open(directory)
        else:
            codec = WanCodec(layout.read_part(AutoencoderKLWan, directory, "vae"))
        scheduler = layout.read_scheduler(directory)
        return cls(module, codec, scheduler, context=context, origin=origin, expert=expert)

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        own = self.part
        lora.write_denoiser(self.module, self.origin, directory, own, prefix="transformer")
        self.scheduler.save_pretrained(directory / "scheduler")
        if self.origin.has("vae"):
            self.origin.link("vae", directory)
        else:
            self.codec.save(directory)
        names = ["text_encoder", "tokenizer", *_EXPERTS.values(), "vae", "image_encoder", "image_processor"]
        for name in names:
            if name not in ("vae", own) and self.origin.has(name):
                self.origin.link(name, directory)
        parts = {**dict.fromkeys(names), "scheduler": self.scheduler, own: self.module}
        if isinstance(self.codec, WanCodec):
            parts["vae"] = self.codec.vae
        settings = {"expand_timesteps": self.expanded, "boundary_ratio": self._boundary}
        # also for a text-to-video base: what was trained is given frames, which only this class can do
        layout.write_index(directory, self.pipelines[0], self.origin, parts, settings)
        notes = {} if self.expert is None else {"expert": self.expert}
        layout.write_card(directory, family=self.family, context=self.context, **notes)

    def fingerprint(self) -> str:
        return self.codec.fingerprint()

    @property
    def has_autoencoder(self) -> bool:
        return not isinstance(self.codec, PixelCodec)

    def check(self, frames: int, height: int, width: int) -> None:
        self.codec.check(frames, height, width, patch=int(self.config.patch_size[1]))
        step = int(self.config.patch_size[0])
        given = self.codec.latent_frames(self.context) if self.expanded else 0
        if self.codec.latent_frames(frames) % step or given % step:
            raise ModelError(
                f"clip.frames = {frames} and clip.context = {self.context} do not fit this model, which takes {step} "
                "latent frames at a time.",
                f"Make both multiples of {step * self.codec.temporal}.",
            )

    def to(self, device: torch.device | str) -> Wan:
        self.module.to(device)
        self.codec.to(device)
        return self

    # ---------------------------------------------------------------- latents and conditions
    def encode(self, frames: Tensor) -> Tensor:
        return self.codec.encode(to_signed(frames.to(self.device)))

    def decode(self, latents: Tensor) -> Tensor:
        return to_frames(self.codec.decode(latents))

    def conditions(self, frames: Tensor, prompts: Sequence[str], fps: float) -> Conditions:
        context = frames[:, : self.context].to(self.device)
        return Conditions(list(prompts), fps, self._given(context, frames.shape[1]))

    def _given(self, context: Tensor, frames: int) -> dict[str, Tensor]:
        """Condition channels (B, temporal + C, t, h, w); or context latents (B, C, tc, h, w) that replace noise."""
        video = to_signed(context)
        seen = self._seen(context)
        if self.expanded:
            return {"context": self.codec.encode(video), **seen}
        b, c, tc, height, width = video.shape
        grey = video.new_zeros(b, c, frames - tc, height, width)
        latents = self.codec.encode(torch.cat([video, grey], dim=2))
        mask = latents.new_zeros(b, 1, frames, *latents.shape[-2:])
        mask[:, :, :tc] = 1.0
        # one mask channel for each frame inside a latent frame; the first latent frame holds one frame only
        first = mask[:, :, :1].repeat_interleave(self.codec.temporal, dim=2)
        mask = torch.cat([first, mask[:, :, 1:]], dim=2)
        mask = mask.view(b, -1, self.codec.temporal, *latents.shape[-2:]).transpose(1, 2)
        return {"condition": torch.cat([mask, latents], dim=1), **seen}

    def _embed(self, prompt: str) -> Tensor:
        """Embedding (L, D) of one prompt; without a text encoder a zero token, which attention takes as a constant."""
        if not self.origin.has("text_encoder"):
            if prompt:
                raise ModelError(
                    f"The prompt '{prompt}' was given, but this base has no text encoder.", "Remove model.prompt."
                )
            return torch.zeros(1, int(self.config.text_dim))
        from diffusers import WanPipeline
        from transformers import AutoTokenizer, UMT5EncoderModel

        encoder = foreign.load(UMT5EncoderModel, self.origin.folder("text_encoder"))
        tokenizer = foreign.load(AutoTokenizer, self.origin.folder("tokenizer"))
        stock = WanPipeline(tokenizer=tokenizer, text_encoder=encoder, vae=None, scheduler=None, transformer=None)
        with torch.no_grad():
            embedded = stock.encode_prompt(prompt, do_classifier_free_guidance=False, max_sequence_length=512)[0]
        return embedded[0].float()

    def embed_prompts(self, prompts: Sequence[str]) -> None:
        if self.origin.has("text_encoder"):
            self.text.of(prompts, torch.device("cpu"), self._embed)

    def frozen_bytes(self) -> dict[str, int]:
        found = {"vae": module_bytes(self.codec.vae)} if isinstance(self.codec, WanCodec) else {}
        if self.config.image_dim is not None and self.origin.has("image_encoder"):
            folder = self.origin.folder("image_encoder")
            found["image_encoder"] = sum(p.stat().st_size for p in folder.glob("*.safetensors"))
        return found

    def _seen(self, context: Tensor) -> dict[str, Tensor]:
        """CLIP's view of the first context frame (B, L, D), for the bases that take one (Wan 2.1 image-to-video)."""
        if self.config.image_dim is None or not self.origin.has("image_encoder"):
            return {}
        if self._image_encoder is None:
            from transformers import CLIPImageProcessor, CLIPVisionModel

            folder = self.origin.folder("image_encoder")
            self._image_encoder = foreign.load(CLIPVisionModel, folder).float().to(self.device)
            self._image_processor = foreign.load(CLIPImageProcessor, self.origin.folder("image_processor"))
        images = [frame.numpy() for frame in context[:, 0].cpu()]
        inputs = self._image_processor(images=images, return_tensors="pt").to(self.device)
        with torch.no_grad():
            return {"image": self._image_encoder(**inputs, output_hidden_states=True).hidden_states[-2].float()}

    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        codec = self.codec
        cells = (codec.latent_frames(frames), height // codec.spatial, width // codec.spatial)
        latents = torch.zeros(batch, codec.channels, *cells, device=self.device)
        given = {"context": latents[:, :, : codec.latent_frames(self.context)]}
        if not self.expanded:
            given = {"condition": torch.zeros(batch, codec.temporal + codec.channels, *cells, device=self.device)}
        if self.config.image_dim is not None:
            given["image"] = torch.zeros(batch, 257, int(self.config.image_dim), device=self.device)
        length = 512 if self.origin.has("text_encoder") else 1
        self.text.assume("", torch.zeros(length, int(self.config.text_dim), device=self.device))
        return latents, Conditions([""] * batch, 8.0, given)

    # ---------------------------------------------------------------- objective
    @property
    def shift(self) -> float:
        """The scheduler's `flow_shift` s."""
        config = self.scheduler.config
        return float(config.get("flow_shift") or config.get("shift") or 1.0)

    def default_levels(self) -> Levels:
        # uniform and shifted, as DiffSynth-Studio trains it, the trainer to which Wan's own pages point
        levels = Levels(shift=self.shift)
        if self.expert is None:
            return levels
        boundary = self._boundary or 1.0
        return replace(levels, bounds=(boundary, 1.0) if self.expert == "high" else (0.0, boundary))

    @property
    def _boundary(self) -> float | None:
        """Share of noise at which the expert of high noise hands over to that of low noise."""
        ratio = self.origin.index.get("boundary_ratio")
        return None if ratio is None else float(ratio)

    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        return self.levels.times(uniforms, self.tokens(shape))

    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        sigma = levels.view(-1, 1, 1, 1, 1)
        noisy = (1.0 - sigma) * latents + sigma * noise
        return self._denoise(noisy, levels * self.scheduler.config.num_train_timesteps, conditions)

    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        # replaced context latents carry no noise, so there is nothing to predict in them
        start = conditions.given["context"].shape[2] if self.expanded else 0
        return velocity_loss(predicted[:, :, start:], latents[:, :, start:], noise[:, :, start:])

    def _module_at(self, timestep: Tensor) -> Any:
        """The denoiser that generates at a timestep in [0, 1000]; the other expert is read when it is first needed."""
        if self.expert is None:
            return self.module
        steps = self.scheduler.config.num_train_timesteps
        wanted = "high" if float(timestep) >= (self._boundary or 1.0) * steps else "low"
        if wanted == self.expert:
            return self.module
        if self._other is None:
            from diffusers import WanTransformer3DModel

            self.origin.folder(_EXPERTS[wanted])
            assert self.origin.directory is not None
            other = layout.read_part(WanTransformer3DModel, self.origin.directory, _EXPERTS[wanted])
            self._other = other.eval().requires_grad_(False).to(self.device)
        return self._other

    def _denoise(self, noisy: Tensor, timesteps: Tensor, conditions: Conditions, module: Any = None) -> Tensor:
        """Raw output (B, C, t, h, w) for noisy latents and timesteps (B,) in [0, 1000].

        Args:
            module: Another denoiser than the one that is trained.
        """
        module = module or self.module
        text = self.text.of(conditions.prompts, self.device, self._embed)
        image = conditions.given.get("image")
        if not self.expanded:
            inputs = torch.cat([noisy, conditions.given["condition"]], dim=1)
            return module(inputs, timesteps, text, image, return_dict=False)[0]
        context = conditions.given["context"]
        tc = context.shape[2]
        inputs = torch.cat([context, noisy[:, :, tc:]], dim=2)
        step = self.config.patch_size
        tokens = (noisy.shape[2] // step[0], noisy.shape[3] // step[1], noisy.shape[4] // step[2])
        by_token = timesteps.view(-1, 1, 1, 1).repeat(1, *tokens)
        by_token[:, : tc // step[0]] = 0.0
        return module(inputs, by_token.flatten(1), text, image, return_dict=False)[0]

    # ---------------------------------------------------------------- generation
    @torch.no_grad()
    def generate(
        self, context: Tensor, frames: int, seeds: Sequence[int], denoising_steps: int, conditions: Conditions
    ) -> Tensor:
        context = context.to(self.device)
        height, width = context.shape[2:4]
        self.check(frames, height, width)
        full = replace(conditions, given=self._given(context, frames))
        unguided = replace(full, prompts=[""] * len(full.prompts))
        shape = (
            self.codec.channels,
            self.codec.latent_frames(frames),
            height // self.codec.spatial,
            width // self.codec.spatial,
        )
        latents = seeded_noise(seeds, shape).to(self.device)
        scheduler = type(self.scheduler).from_config(self.scheduler.config)
        scheduler.set_timesteps(denoising_steps, device=self.device)
        for timestep in scheduler.timesteps:
            module = self._module_at(timestep)
            velocity = self._denoise(latents, timestep.expand(len(seeds)), full, module)
            if full.guidance != 1:
                without = self._denoise(latents, timestep.expand(len(seeds)), unguided, module)
                velocity = without + full.guidance * (velocity - without)
            latents = scheduler.step(velocity, timestep, latents, return_dict=False)[0]
        if self.expanded:
            tc = full.given["context"].shape[2]
            latents = torch.cat([full.given["context"], latents[:, :, tc:]], dim=2)
        video = self.decode(latents)
        # the context is given, not generated
        video[:, : context.shape[1]] = context
        return video
