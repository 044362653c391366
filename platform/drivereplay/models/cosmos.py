"""Cosmos-Predict2 video-to-world: diffusers' `CosmosTransformer3DModel`, rectified flow with clean context latents."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from drivereplay.errors import ModelError
from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.codec import WanCodec
from drivereplay.models.flow import velocity_loss
from drivereplay.models.levels import Levels
from drivereplay.models.stock import StockModel, check_frames, picture
from drivereplay.models.text import tiny_encoder, tiny_tokenizer

if TYPE_CHECKING:
    from drivereplay.spec import Spec

P_MEAN, P_STD = math.log(4.0), 1.2
"""Mean and deviation of ln σ in training, before the factor for the clip's length."""
SIGMA_MIN, SIGMA_MAX = 0.01, 200.0
"""Where σ is cut off, before that factor."""
SIGMA_CONTEXT = 0.0001
"""Noise that the denoiser is told of the context latents, the stock pipeline's default."""
UNMODULATED_FPS = 24
"""Rate at which diffusers' pipeline leaves temporal positions as they are: it multiplies them by 24/fps, but the
released models were trained without that, whatever the rate of their videos (diffusers#14768)."""

TINY: dict[str, Any] = {
    "in_channels": 5,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_layers": 2,
    "mlp_ratio": 2.0,
    "text_embed_dim": 32,
    "adaln_lora_dim": 4,
    "max_size": (32, 32, 32),
    "rope_scale": (1.0, 3.0, 3.0),
    "extra_pos_embed_type": None,
}
"""Configuration of `base: random`: the published one but for its sizes."""
TINY_VAE: dict[str, Any] = {
    "base_dim": 8,
    "z_dim": 4,
    "dim_mult": [1, 1, 1, 1],
    "num_res_blocks": 1,
    "latents_mean": [0.0] * 4,
    "latents_std": [1.0] * 4,
}
"""Its autoencoder, unless `model.config` says `vae: {...}` (`{}` is the published architecture)."""


class Cosmos(StockModel):
    """Cosmos-Predict2 video-to-world with whole latent frames of context, marked by a mask channel.

    With t = σ/(σ + 1) the denoiser is given (1 − t)·x_0 + t·ε, and its output F is the velocity ε − x_0: the published
    loss (1 + σ)²/σ²·(x̂_0 − x_0)² with x̂_0 = (1 − t)·x_σ − t·F is (F − (ε − x_0))². Context latents stay clean, at the
    timestep of σ = 0.0001, and the loss is the future's alone. σ = √(latent frames)·s with ln s ~ N(ln 4, 1.2²): longer
    clips need more noise to be as hard to see through.
    """

    family = "cosmos"
    part = "transformer"
    pipelines = ("Cosmos2VideoToWorldPipeline",)
    lora_targets = ("to_q", "to_k", "to_v", "to_out.0")
    layer_groups: ClassVar[dict[str, tuple[str, ...]]] = {}  # attention is over space and time at once
    blocks = "transformer_blocks"

    condition_dropout = 0.2  # `TextAttr(dropout_rate=0.2, use_empty_string=False)` of Cosmos-Predict2's configuration

    def __init__(self, pipeline: Any, *, context: int, origin: layout.Origin) -> None:
        _resize_without_torchvision()
        self.codec = WanCodec(pipeline.vae)
        super().__init__(pipeline, context=context, origin=origin)

    @classmethod
    def stock(cls) -> Any:
        from diffusers import Cosmos2VideoToWorldPipeline

        return Cosmos2VideoToWorldPipeline

    @classmethod
    def random(cls, spec: Spec) -> Cosmos:
        from diffusers import AutoencoderKLWan, CosmosTransformer3DModel, FlowMatchEulerDiscreteScheduler
        from transformers import T5EncoderModel

        options = dict(spec.model.config)
        vae = options.pop("vae", TINY_VAE)
        config = {**TINY, **options}
        with layout.seeded(spec.seed):
            pipeline = cls.stock()(
                transformer=layout.built(CosmosTransformer3DModel, config),
                vae=layout.built(AutoencoderKLWan, vae),
                text_encoder=tiny_encoder(T5EncoderModel, config["text_embed_dim"]),
                tokenizer=tiny_tokenizer(512),
                scheduler=FlowMatchEulerDiscreteScheduler(use_karras_sigmas=True),
                safety_checker=Unguarded(),
            )
        return cls(pipeline, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))

    @classmethod
    def _stand_ins(cls, directory: Path) -> dict[str, Any]:
        # the licence of the published weights asks for the guardrail; random weights have no licence
        return {"safety_checker": Unguarded() if layout.read_notes(directory).get("unguarded") else Guarded()}

    def _notes(self) -> dict[str, Any]:
        return {"unguarded": True} if isinstance(self.pipeline.safety_checker, Unguarded) else {}

    def _check_context(self, context: int) -> None:
        check_frames(context, self.codec.temporal, "clip.context")
        channels = self.codec.channels
        if self.config.in_channels != channels + 1 or self.config.out_channels != channels:
            raise ModelError(
                f"The denoiser maps {self.config.in_channels} channels to {self.config.out_channels}; with an"
                f" autoencoder of {channels} it must be {channels + 1} (one is the context's mask) to {channels}.",
                "Correct model.config, or take a video-to-world base.",
            )

    def check(self, frames: int, height: int, width: int) -> None:
        self.codec.check(frames, height, width, patch=int(self.config.patch_size[1]))

    # ---------------------------------------------------------------- latents and conditions
    def encode(self, frames: Tensor) -> Tensor:
        return self.codec.encode(self._signed(frames))

    def decode(self, latents: Tensor) -> Tensor:
        return self._frames(self.codec.decode(latents))

    def placeholder(self, batch: int, frames: int, height: int, width: int) -> tuple[Tensor, Conditions]:
        codec = self.codec
        cells = (codec.latent_frames(frames), height // codec.spatial, width // codec.spatial)
        # with the projection the text is wider than what attention is given
        width_of = "crossattn_proj_in_channels" if self.config.use_crossattn_projection else "text_embed_dim"
        self.text.assume("", torch.zeros(512, int(self.config[width_of]), device=self.device))
        latents = torch.zeros(batch, codec.channels, *cells, device=self.device)
        return latents, Conditions([""] * batch, 8.0)

    # ---------------------------------------------------------------- objective
    context_time: ClassVar[float] = SIGMA_CONTEXT / (SIGMA_CONTEXT + 1)
    """Timestep of the context latents."""

    def _time(self, levels: Tensor) -> Tensor:
        """Share of noise t (B,) at levels (B,)."""
        return levels / (levels + 1)

    def default_levels(self) -> Levels:
        return Levels("normal", P_MEAN, P_STD)

    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        sigmas = self.levels.sigmas(uniforms, self.tokens(shape)).clamp(SIGMA_MIN, SIGMA_MAX)
        return sigmas * math.sqrt(shape[1])

    def predict(self, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions) -> Tensor:
        b, _, t, h, w = latents.shape
        time = self._time(levels).view(-1, 1, 1, 1, 1)
        given = self.codec.latent_frames(self.context)
        mask = latents.new_zeros(b, 1, t, h, w)
        mask[:, :, :given] = 1
        told = mask[..., :1, :1]
        inputs = torch.cat([latents[:, :, :given], ((1 - time) * latents + time * noise)[:, :, given:]], dim=2)
        scale = self.codec.spatial
        output: Tensor = self.module(
            hidden_states=inputs,
            timestep=told * self.context_time + (1 - told) * time,
            encoder_hidden_states=self._text(conditions),
            condition_mask=mask,
            padding_mask=latents.new_zeros(1, 1, h * scale, w * scale),
            return_dict=False,
        )[0]
        return output

    def without_condition(self, conditions: Conditions, dropped: Sequence[bool]) -> Conditions:
        keep = 1.0 - torch.tensor(list(dropped), dtype=torch.float32, device=self.device)
        return replace(conditions, given={**conditions.given, "keep": keep})

    def _text(self, conditions: Conditions) -> Tensor:
        """Embeddings (B, L, D); zero where the text was dropped, as in the model's own training."""
        text = self.text.of(conditions.prompts, self.device, self._embed)
        keep = conditions.given.get("keep")
        return text if keep is None else text * keep.view(-1, 1, 1)

    def loss_of(
        self, predicted: Tensor, latents: Tensor, noise: Tensor, levels: Tensor, conditions: Conditions
    ) -> Tensor:
        given = self.codec.latent_frames(self.context)
        return velocity_loss(predicted[:, :, given:], latents[:, :, given:], noise[:, :, given:])

    # ---------------------------------------------------------------- generation
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        height, width = context.shape[1:3]
        video: Tensor = self.pipeline(
            video=[picture(frame) for frame in context],
            prompt_embeds=self.text.of(given.prompts, self.device, self._embed),
            height=height, width=width, num_frames=frames, fps=UNMODULATED_FPS, num_inference_steps=steps,
            negative_prompt_embeds=self._unguided(given), guidance_scale=given.guidance, generator=generator,
            output_type="pt",
        ).frames[0]  # fmt: skip
        return video


class Unguarded:
    """Takes the guardrail's place for models with random weights: the pipeline does not start without one."""

    def to(self, device: torch.device | str) -> Unguarded:
        """There are no weights."""
        return self

    def check_text_safety(self, prompt: str) -> bool:
        """Every prompt passes."""
        return True

    def check_video_safety(self, frames: Any) -> Any:
        """Every video passes."""
        return frames


class Guarded:
    """The guardrail of the package `cosmos_guardrail`, made when a video is generated: training needs none."""

    def __init__(self) -> None:
        self._checker: Any = None

    def _made(self) -> Any:
        if self._checker is None:
            try:
                guardrail = importlib.import_module("cosmos_guardrail")
            except ImportError as error:
                raise ModelError(
                    "To generate with Cosmos weights their licence asks for a guardrail, and cosmos_guardrail is not"
                    " installed.",
                    "Run `pip install cosmos_guardrail`; training alone (evaluation.every: null) goes without.",
                ) from error
            self._checker = guardrail.CosmosSafetyChecker()
        return self._checker

    def to(self, device: torch.device | str) -> Guarded:
        """Move its models."""
        self._made().to(device)
        return self

    def check_text_safety(self, prompt: str) -> bool:
        """Whether a prompt is allowed."""
        return bool(self._made().check_text_safety(prompt))

    def check_video_safety(self, frames: Any) -> Any:
        """The video with faces made unrecognisable; None if it is not allowed."""
        return self._made().check_video_safety(frames)


def _resize_without_torchvision() -> None:
    """Let the denoiser resize its padding mask where torchvision is not installed, by the same function of torch.

    diffusers imports `torchvision.transforms` into the module only if it is there, but calls it whenever the mask is
    used, as all published models do. torchvision's own resize of a tensor to the nearest pixel is this `interpolate`.
    """
    from diffusers.models.transformers import transformer_cosmos

    if hasattr(transformer_cosmos, "transforms"):
        return

    def resize(mask: Tensor, size: Sequence[int], interpolation: str) -> Tensor:
        return torch.nn.functional.interpolate(mask, size=list(size), mode=interpolation)

    transformer_cosmos.transforms = SimpleNamespace(
        functional=SimpleNamespace(resize=resize), InterpolationMode=SimpleNamespace(NEAREST="nearest")
    )
