"""LTX-Video: diffusers' `LTXVideoTransformer3DModel`, flow matching with a timestep for each token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.flow import velocity_loss
from drivereplay.models.levels import Levels
from drivereplay.models.stock import StockModel, check_frames, check_grid, one_frame, picture
from drivereplay.models.text import PromptCache, tiny_encoder, tiny_tokenizer

if TYPE_CHECKING:
    from drivereplay.spec import Spec

TRAINER_SHIFT = {1024: math.exp(0.95), 4096: math.exp(2.05)}
"""Shift by latent tokens of Lightricks' trainer (LTX-Video-Trainer, `ShiftedLogitNormalTimestepSampler`): the mean of
logit σ is .95 at 1,024 tokens and 2.05 at 4,096, its deviation 1."""

TINY: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 8,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "cross_attention_dim": 32,
    "num_layers": 2,
    "caption_channels": 32,
}
"""Configuration of `base: random`."""
TINY_VAE: dict[str, Any] = {
    "latent_channels": 8,
    "block_out_channels": (8, 8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8, 8),
    "layers_per_block": (1, 1, 1, 1, 1),
    "decoder_layers_per_block": (1, 1, 1, 1, 1),
    "spatio_temporal_scaling": (True, True, False, False),
    "decoder_spatio_temporal_scaling": (True, True, False, False),
    "decoder_inject_noise": (False,) * 5,
    "upsample_residual": (False,) * 4,
    "upsample_factor": (1,) * 4,
    "patch_size": 1,
    "patch_size_t": 1,
}
"""Its autoencoder, unless `model.config` says `vae: {...}` (`{}` is the published architecture)."""


class Ltx(StockModel):
    """LTX-Video with whole latent frames of context, which stay clean at timestep 0 while the rest is noised.

    Flow matching: x_t = (1 − σ)·x_0 + σ·ε for the future, target v = ε − x_0, timestep 1000·σ; σ logit-normal,
    shifted by the number of tokens. The loss is the future's alone.
    """

    family = "ltx"
    part = "transformer"
    pipelines = ("LTXConditionPipeline", "LTXImageToVideoPipeline", "LTXPipeline")
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    layer_groups: ClassVar[dict[str, tuple[str, ...]]] = {}  # attention is over space and time at once
    blocks = "transformer_blocks"

    def __init__(self, pipeline: Any, *, context: int, origin: layout.Origin) -> None:
        super().__init__(pipeline, context=context, origin=origin)
        self.masks = PromptCache()

    @classmethod
    def stock(cls) -> Any:
        from diffusers import LTXConditionPipeline

        return LTXConditionPipeline

    @classmethod
    def stock_of(cls, directory: Path) -> Any:
        # 0.9.0 and 0.9.1, the plain id Lightricks/LTX-Video among them: their schedule depends on the number of tokens,
        # which the condition pipeline does not tell the scheduler, and their positions are others
        if layout.read_scheduler(directory).config.get("use_dynamic_shifting"):
            from diffusers import LTXImageToVideoPipeline

            return LTXImageToVideoPipeline
        return cls.stock()

    @property
    def _first_version(self) -> bool:
        """Whether the base is LTX-Video 0.9.0 or 0.9.1, which take one frame of context."""
        return not isinstance(self.pipeline, self.stock())

    @classmethod
    def random(cls, spec: Spec) -> Ltx:
        from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXVideoTransformer3DModel
        from transformers import T5EncoderModel

        options = dict(spec.model.config)
        vae = options.pop("vae", TINY_VAE)
        config = {**TINY, **options}
        with layout.seeded(spec.seed):
            pipeline = cls.stock()(
                transformer=layout.built(LTXVideoTransformer3DModel, config),
                vae=layout.built(AutoencoderKLLTXVideo, vae),
                text_encoder=tiny_encoder(T5EncoderModel, config["caption_channels"]),
                tokenizer=tiny_tokenizer(128),
                scheduler=FlowMatchEulerDiscreteScheduler(),
            )
        return cls(pipeline, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))

    @property
    def _temporal(self) -> int:
        return int(self.pipeline.vae_temporal_compression_ratio)

    def _check_context(self, context: int) -> None:
        if self._first_version:
            one_frame(
                "LTX-Video 0.9.0 and 0.9.1 (a later version, such as Lightricks/LTX-Video-0.9.5, takes more)", context
            )
        check_frames(context, self._temporal, "clip.context")

    def check(self, frames: int, height: int, width: int) -> None:
        # the pipeline wants 32 whatever its autoencoder does
        check_grid(height, width, max(32, int(self.pipeline.vae_spatial_compression_ratio)))
        check_frames(frames, self._temporal)

    # ---------------------------------------------------------------- latents and text
    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        latents = self.vae.encode(self._signed(frames)).latent_dist.mode()
        normal: Tensor = self.pipeline._normalize_latents(latents, self.vae.latents_mean, self.vae.latents_std)
        return normal

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        statistics = (self.vae.latents_mean, self.vae.latents_std, self.vae.config.scaling_factor)
        raw = self.pipeline._denormalize_latents(latents, *statistics)
        # autoencoders with a timestep take the pipeline's default: none of its noise is added
        time = torch.zeros(len(raw), device=raw.device) if self.vae.config.timestep_conditioning else None
        return self._frames(self.vae.decode(raw, time, return_dict=False)[0])

    def _encoded(self, prompt: str) -> Any:
        with torch.no_grad():
            return self._text_pipeline().encode_prompt(prompt, do_classifier_free_guidance=False)

    def _embed(self, prompt: str) -> Tensor:
        embedded: Tensor = self._encoded(prompt)[0][0]
        return embedded.float()

    def _embed_mask(self, prompt: str) -> Tensor:
        mask: Tensor = self._encoded(prompt)[1][0]
        return mask

    def embed_prompts(self, prompts: Sequence[str]) -> None:
        super().embed_prompts(prompts)
        if self.origin.has("text_encoder"):
            self.masks.of(prompts, torch.device("cpu"), self._embed_mask)

    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        scale = self.pipeline.vae_spatial_compression_ratio
        cells = ((frames - 1) // self._temporal + 1, height // scale, width // scale)
        self.text.assume("", torch.zeros(256, int(self.config.caption_channels), device=self.device))
        self.masks.assume("", torch.ones(256, dtype=torch.bool, device=self.device))
        latents = torch.zeros(batch, int(self.config.in_channels), *cells, device=self.device)
        return latents, Conditions([""] * batch, 8.0)

    # ---------------------------------------------------------------- objective
    def default_levels(self) -> Levels:
        return Levels("normal", shift=TRAINER_SHIFT)

    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        return self.levels.times(uniforms, self.tokens(shape))

    def tokens(self, shape: Sequence[int]) -> int:
        _, t, h, w = shape
        patch, patch_t = self.pipeline.transformer_spatial_patch_size, self.pipeline.transformer_temporal_patch_size
        return int((t // patch_t) * (h // patch) * (w // patch))

    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        b, _, t, h, w = latents.shape
        sigma = levels.view(-1, 1, 1, 1, 1)
        noisy = (1 - sigma) * latents + sigma * noise
        given = self._given_frames
        inputs = torch.cat([latents[:, :, :given], noisy[:, :, given:]], dim=2)
        pipeline = self.pipeline
        patch, patch_t = pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
        axes = [
            torch.arange(0, size, step, device=latents.device) for size, step in ((t, patch_t), (h, patch), (w, patch))
        ]
        frame, row, column = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
        frame = frame.expand(b, -1)
        coordinates = self._coordinates(frame, row, column, conditions.fps)
        times = (levels.view(-1, 1) * 1000.0).expand(-1, frame.shape[1]).masked_fill(frame < given, 0.0)
        output = self.module(
            hidden_states=pipeline._pack_latents(inputs, patch, patch_t),
            encoder_hidden_states=self.text.of(conditions.prompts, latents.device, self._embed),
            timestep=times,
            encoder_attention_mask=self.masks.of(conditions.prompts, latents.device, self._embed_mask),
            video_coords=coordinates,
            return_dict=False,
        )[0]
        unpacked: Tensor = pipeline._unpack_latents(output, t, h, w, patch, patch_t)
        return unpacked

    def _coordinates(self, frame: Tensor, row: Tensor, column: Tensor, fps: float) -> Tensor:
        """Places of tokens (B, 3, N) in seconds and pixels, for latent frames (B, N), rows and columns (N,)."""
        frames = frame * self._temporal
        if not self._first_version:
            # the first latent frame holds one frame; 0.9.0 and 0.9.1 were trained as if it held as many as the others
            frames = (frames + 1 - self._temporal).clamp(min=0)
        pixels = self.pipeline.vae_spatial_compression_ratio
        seconds = frames.float() * (1.0 / fps)
        return torch.stack([seconds, *(axis.float().mul(pixels).expand_as(seconds) for axis in (row, column))], dim=1)

    @property
    def _given_frames(self) -> int:
        """Latent frames of the context."""
        return (self.context - 1) // self._temporal + 1

    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        given = self._given_frames
        return velocity_loss(predicted[:, :, given:], latents[:, :, given:], noise[:, :, given:])

    # ---------------------------------------------------------------- generation
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        height, width = context.shape[1:3]
        prompts: Sequence[str] = given.prompts
        condition: dict[str, Any] = {"image": picture(context[0])}
        if not self._first_version:
            # a list of lists: the pipeline takes a plain list of frames for several conditions of a frame each
            video_condition = [[picture(frame) for frame in context]]
            condition = {"video": video_condition, "frame_index": 0, "strength": 1.0, "image_cond_noise_scale": 0.0}
        mask = None if given.guidance == 1 else self.masks.of([""], self.device, self._embed_mask)
        video: Tensor = self.pipeline(
            **condition,
            prompt_embeds=self.text.of(prompts, self.device, self._embed),
            prompt_attention_mask=self.masks.of(prompts, self.device, self._embed_mask),
            height=height, width=width, num_frames=frames, frame_rate=given.fps, num_inference_steps=steps,
            negative_prompt_embeds=self._unguided(given),
            negative_prompt_attention_mask=mask,
            guidance_scale=given.guidance, generator=generator, output_type="pt",
        ).frames[0]  # fmt: skip
        return video
