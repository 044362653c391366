"""Stable Video Diffusion: diffusers' `UNetSpatioTemporalConditionModel`, EDM preconditioning, image-to-video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.levels import Levels
from drivereplay.models.noise import image_noise
from drivereplay.models.stock import StockModel, check_grid, one_frame, picture

if TYPE_CHECKING:
    from drivereplay.spec import Spec

P_MEAN, P_STD = 0.7, 1.6
"""Mean and deviation of ln σ in training (arXiv 2311.15127, image-to-video)."""
NOISE_AUGMENTATION = 0.02
"""Noise on the condition picture, the stock pipeline's default."""
MOTION_BUCKET = 127
"""Strength of motion that the model is told, the stock pipeline's default."""

TINY: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    "layers_per_block": 1,
    "num_attention_heads": (2, 4),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
}
"""Configuration of `base: random`."""
TINY_VAE: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "layers_per_block": 1,
}
"""Its autoencoder, unless `model.config` says `vae: {...}`."""


class Svd(StockModel):
    """SVD image-to-video: the condition is the first frame, as CLIP embedding and as latents beside the noisy ones.

    EDM (arXiv 2206.00364) with v-prediction: x_σ = x_0 + σ·ε, ln σ ~ N(0.7, 1.6²), c_skip = 1/(σ² + 1),
    c_out = −σ/√(σ² + 1), c_in = 1/√(σ² + 1), c_noise = ¼·ln σ, and the loss weight (1 + σ²)/σ².
    """

    family = "svd"
    part = "unet"
    pipelines = ("StableVideoDiffusionPipeline",)
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    layer_groups: ClassVar[dict[str, tuple[str, ...]]] = {
        "temporal": ("*temporal*", "*time_mix*", "*time_pos_embed*"),
        "spatial": ("*spatial_res_block*", "*.transformer_blocks.*", "conv_in.*", "conv_out.*"),
    }

    @classmethod
    def stock(cls) -> Any:
        from diffusers import StableVideoDiffusionPipeline

        return StableVideoDiffusionPipeline

    @classmethod
    def random(cls, spec: Spec) -> Svd:
        from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
        from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

        options = dict(spec.model.config)
        vae = options.pop("vae", TINY_VAE)
        config = {**TINY, "sample_size": spec.clip.height // 2, "num_frames": spec.clip.frames, **options}
        with layout.seeded(spec.seed):
            vision = CLIPVisionConfig(
                hidden_size=32,
                projection_dim=config["cross_attention_dim"],
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=224,
                intermediate_size=32,
                patch_size=56,
            )
            pipeline = cls.stock()(
                unet=layout.built(UNetSpatioTemporalConditionModel, config),
                vae=layout.built(AutoencoderKLTemporalDecoder, vae),
                image_encoder=CLIPVisionModelWithProjection(vision).eval(),
                feature_extractor=CLIPImageProcessor(),
                scheduler=EulerDiscreteScheduler(
                    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
                    interpolation_type="linear", timestep_type="continuous", timestep_spacing="leading",
                    steps_offset=1, use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
                ),
            )  # fmt: skip
        return cls(pipeline, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))

    def _check_context(self, context: int) -> None:
        one_frame(self.family, context)

    def check(self, frames: int, height: int, width: int) -> None:
        check_grid(height, width, self.pipeline.vae_scale_factor * 2 ** (len(self.config.block_out_channels) - 1))

    # ---------------------------------------------------------------- latents and conditions
    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        video = self._signed(frames)
        b = video.shape[0]
        latents = self.vae.encode(video.transpose(1, 2).flatten(0, 1)).latent_dist.mode()
        scaled: Tensor = latents.unflatten(0, (b, -1)).transpose(1, 2) * self.vae.config.scaling_factor
        return scaled

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self._frames(self.pipeline.decode_latents(latents.transpose(1, 2), latents.shape[2]))

    @torch.no_grad()
    def conditions(self, frames: Tensor, prompts: Sequence[str], fps: float) -> Conditions:
        first = frames[:, 0].cpu()
        strength = self.training.condition_noise
        noise, sigmas = zip(
            *(image_noise(frame, NOISE_AUGMENTATION if strength is None else strength) for frame in first), strict=True
        )
        pictures = self._signed(frames[:, :1])[:, :, 0] + torch.stack(noise).to(self.device)
        given = {
            "noise": torch.tensor(sigmas, device=self.device)[:, None],
            "image": self.pipeline._encode_image([picture(f) for f in first], self.device, 1, False),
            "latents": self.vae.encode(pictures).latent_dist.mode(),
        }
        return Conditions(list(prompts), fps, given)

    def without_condition(self, conditions: Conditions, dropped: Sequence[bool]) -> Conditions:
        # as the pipeline's guidance has it: no CLIP view, no latents beside the noisy ones
        keep = 1.0 - torch.tensor(list(dropped), dtype=torch.float32, device=self.device)
        image, latents = conditions.given["image"], conditions.given["latents"]
        given = {"image": image * keep.view(-1, 1, 1), "latents": latents * keep.view(-1, 1, 1, 1)}
        return replace(conditions, given={**conditions.given, **given})

    @property
    def generation_noise(self) -> float:
        """Noise on the image when a video is generated: a fixed one as in training, else the pipeline's default."""
        noise = self.training.condition_noise
        return NOISE_AUGMENTATION if noise is None or isinstance(noise, tuple) else noise

    def _embed(self, prompt: str) -> Tensor:
        return torch.zeros(0, 0)  # the family takes no text

    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        scale = self.pipeline.vae_scale_factor
        latents = torch.zeros(batch, 4, frames, height // scale, width // scale, device=self.device)
        dimension = self.config.cross_attention_dim
        dimension = dimension if isinstance(dimension, int) else dimension[0]
        image = torch.zeros(batch, 1, dimension, device=self.device)
        return latents, Conditions(
            [""] * batch, 8.0, {"image": image, "latents": latents[:, :, 0], "noise": latents[:, 0, 0, 0, :1]}
        )

    # ---------------------------------------------------------------- objective
    def default_levels(self) -> Levels:
        return Levels("normal", P_MEAN, P_STD)

    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        return self.levels.sigmas(uniforms, self.tokens(shape))

    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        sigma = levels.view(-1, 1, 1, 1, 1)
        scaled = (latents + sigma * noise) / (sigma**2 + 1).sqrt()
        condition = conditions.given["latents"].unsqueeze(2).expand(-1, -1, latents.shape[2], -1, -1)
        inputs = torch.cat([scaled, condition], dim=1).transpose(1, 2)
        # SVD was trained on fps − 1
        told = [torch.full_like(levels, number) for number in (round(conditions.fps) - 1, MOTION_BUCKET)]
        times = torch.stack([*told, conditions.given["noise"].flatten().to(levels)], dim=1)
        output: Tensor = self.module(
            inputs,
            0.25 * levels.log(),
            encoder_hidden_states=conditions.given["image"],
            added_time_ids=times,
            return_dict=False,
        )[0]
        return output.transpose(1, 2)

    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        sigma = levels.view(-1, 1, 1, 1, 1)
        noisy = latents + sigma * noise
        denoised = noisy / (sigma**2 + 1) - predicted.float() * sigma / (sigma**2 + 1).sqrt()
        return ((1 + sigma**2) / sigma**2 * (denoised - latents).square()).flatten(1).mean(dim=1)

    # ---------------------------------------------------------------- generation
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        height, width = context.shape[1:3]
        video: Tensor = self.pipeline(
            picture(context[0]), height=height, width=width, num_frames=frames, num_inference_steps=steps,
            min_guidance_scale=1.0, max_guidance_scale=given.guidance, fps=round(given.fps),
            motion_bucket_id=MOTION_BUCKET, noise_aug_strength=self.generation_noise, generator=generator,
            output_type="pt",
        ).frames[0]  # fmt: skip
        return video
