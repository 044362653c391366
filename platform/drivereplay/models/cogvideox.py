"""CogVideoX: diffusers' `CogVideoXTransformer3DModel`, diffusion with v-prediction, image-to-video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from drivereplay.errors import ModelError
from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.noise import image_noise
from drivereplay.models.stock import StockModel, check_frames, check_grid, one_frame, picture
from drivereplay.models.text import tiny_encoder, tiny_tokenizer

if TYPE_CHECKING:
    from drivereplay.spec import Spec

IMAGE_NOISE = (-3.0, 0.5)
"""Mean and deviation of ln σ of the noise that the model's trainer adds to the condition image (CogVideoX's own code,
diffusers' example script); generation adds none."""

TINY: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 8,
    "out_channels": 4,
    "time_embed_dim": 16,
    "text_embed_dim": 32,
    "num_layers": 2,
    "max_text_seq_length": 226,
    "use_rotary_positional_embeddings": True,
}
"""Configuration of `base: random`."""
TINY_VAE: dict[str, Any] = {
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    "block_out_channels": (8, 8, 8, 8),
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "temporal_compression_ratio": 4,
}
"""Its autoencoder, unless `model.config` says `vae: {...}` (`{}` is the published architecture)."""


class CogVideoX(StockModel):
    """CogVideoX image-to-video: latents of the first frame, then zeros, stand beside the noisy latents as channels.

    x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε with t uniform on the schedule, the output v = √ᾱ_t·ε − √(1 − ᾱ_t)·x_0, and the loss
    on x̂_0 = √ᾱ_t·x_t − √(1 − ᾱ_t)·v̂ weighted by 1/(1 − ᾱ_t), as the model was trained (arXiv 2408.06072).
    """

    family = "cogvideox"
    part = "transformer"
    pipelines = ("CogVideoXImageToVideoPipeline",)
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    layer_groups: ClassVar[dict[str, tuple[str, ...]]] = {}  # attention is over space, time and text at once
    blocks = "transformer_blocks"

    @classmethod
    def stock(cls) -> Any:
        from diffusers import CogVideoXImageToVideoPipeline

        return CogVideoXImageToVideoPipeline

    @classmethod
    def random(cls, spec: Spec) -> CogVideoX:
        from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXTransformer3DModel
        from transformers import T5EncoderModel

        clip = spec.clip
        size = {"sample_height": clip.height // 8, "sample_width": clip.width // 8, "sample_frames": clip.frames}
        options = dict(spec.model.config)
        vae = options.pop("vae", TINY_VAE)
        config = {**TINY, **size, **options}
        with layout.seeded(spec.seed):
            pipeline = cls.stock()(
                transformer=layout.built(CogVideoXTransformer3DModel, config),
                vae=layout.built(AutoencoderKLCogVideoX, vae),
                text_encoder=tiny_encoder(T5EncoderModel, config["text_embed_dim"]),
                tokenizer=tiny_tokenizer(226),
                scheduler=CogVideoXDDIMScheduler(
                    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
                    rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing",
                ),
            )  # fmt: skip
        return cls(pipeline, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))

    def _check_context(self, context: int) -> None:
        one_frame(self.family, context)
        if self.pipeline.scheduler.config.prediction_type != "v_prediction":
            raise ModelError("This CogVideoX base does not predict v.", "Take a published CogVideoX base.")

    def check(self, frames: int, height: int, width: int) -> None:
        pipeline = self.pipeline
        check_grid(height, width, pipeline.vae_scale_factor_spatial * self.config.patch_size)
        if self.config.use_learned_positional_embeddings:
            cell = pipeline.vae_scale_factor_spatial
            known = (self.config.sample_height * cell, self.config.sample_width * cell)
            if (height, width) != known:
                raise ModelError(
                    f"clip.height × clip.width = {height} × {width}, but this base has learned the positions of"
                    f" {known[0]} × {known[1]} pixels and of no other size.",
                    f"Set clip.height to {known[0]} and clip.width to {known[1]}, or take a CogVideoX 1.5 base.",
                )
        check_frames(frames, pipeline.vae_scale_factor_temporal)
        latent = (frames - 1) // pipeline.vae_scale_factor_temporal + 1
        if latent % (self.config.patch_size_t or 1):
            wrong = f"clip.frames = {frames} makes {latent} latent frames, which must be even for CogVideoX 1.5."
            raise ModelError(wrong, f"The nearest number is {frames + pipeline.vae_scale_factor_temporal}.")

    # ---------------------------------------------------------------- latents and conditions
    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        latents: Tensor = self.vae.encode(self._signed(frames)).latent_dist.mode()
        return latents * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self._frames(self.pipeline.decode_latents(latents.transpose(1, 2)))

    @torch.no_grad()
    def conditions(self, frames: Tensor, prompts: Sequence[str], fps: float) -> Conditions:
        strength = self.training.condition_noise
        noise = [image_noise(f, IMAGE_NOISE if strength is None else strength)[0] for f in frames[:, 0].cpu()]
        images = self._signed(frames[:, :1]) + torch.stack(noise).unsqueeze(2).to(self.device)
        latents = self.vae.encode(images).latent_dist.mode()
        # 1.5 was trained with the inverse factor
        factor = self.vae.config.scaling_factor
        latents = latents / factor if self.vae.config.invert_scale_latents else latents * factor
        return Conditions(list(prompts), fps, {"first": latents})

    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        pipeline = self.pipeline
        scale = pipeline.vae_scale_factor_spatial
        cells = ((frames - 1) // pipeline.vae_scale_factor_temporal + 1, height // scale, width // scale)
        self.text.assume("", torch.zeros(226, int(self.config.text_embed_dim), device=self.device))
        latents = torch.zeros(batch, int(self.config.in_channels) // 2, *cells, device=self.device)
        return latents, Conditions([""] * batch, 8.0, {"first": latents[:, :, :1]})

    # ---------------------------------------------------------------- objective
    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        steps = int(self.pipeline.scheduler.config.num_train_timesteps)
        return (self.levels.times(uniforms, self.tokens(shape)) * steps).floor().clamp(max=steps - 1)

    def _alpha(self, levels: Tensor) -> Tensor:
        """ᾱ_t, (B, 1, 1, 1, 1)."""
        alphas: Tensor = self.pipeline.scheduler.alphas_cumprod.to(levels.device, torch.float32)
        return alphas[levels.long()].view(-1, 1, 1, 1, 1)

    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        _, _, t, h, w = latents.shape
        alpha = self._alpha(levels)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        first = conditions.given["first"]
        padded = torch.cat([first, first.new_zeros(*first.shape[:2], t - 1, h, w)], dim=2)
        inputs = torch.cat([noisy, padded], dim=1).transpose(1, 2)
        rotary = None
        if self.config.use_rotary_positional_embeddings:
            scale = self.pipeline.vae_scale_factor_spatial
            rotary = self.pipeline._prepare_rotary_positional_embeddings(h * scale, w * scale, t, latents.device)
        ofs = None if self.config.ofs_embed_dim is None else latents.new_full((1,), 2.0)
        output: Tensor = self.module(
            hidden_states=inputs,
            encoder_hidden_states=self.text.of(conditions.prompts, latents.device, self._embed),
            timestep=levels.long(),
            ofs=ofs,
            image_rotary_emb=rotary,
            return_dict=False,
        )[0]
        return output.transpose(1, 2)

    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        alpha = self._alpha(levels)
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        clean = alpha.sqrt() * noisy - (1 - alpha).sqrt() * predicted.float()
        return ((clean - latents).square() / (1 - alpha)).flatten(1).mean(dim=1)

    # ---------------------------------------------------------------- generation
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        height, width = context.shape[1:3]
        video: Tensor = self.pipeline(
            picture(context[0]), prompt_embeds=self.text.of(given.prompts, self.device, self._embed),
            negative_prompt_embeds=self._unguided(given),
            height=height, width=width, num_frames=frames, num_inference_steps=steps, guidance_scale=given.guidance,
            generator=generator, output_type="pt",
        ).frames[0]  # fmt: skip
        return video
