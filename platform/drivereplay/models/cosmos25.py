"""Cosmos-Predict2.5: the denoiser of Cosmos-Predict2, as rectified flow, told by Qwen2.5-VL instead of T5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from drivereplay.errors import ModelError
from drivereplay.models import layout
from drivereplay.models.base import Conditions
from drivereplay.models.cosmos import TINY, TINY_VAE, Cosmos, Guarded, Unguarded
from drivereplay.models.levels import Levels
from drivereplay.models.stock import picture
from drivereplay.models.text import tiny_tokenizer

if TYPE_CHECKING:
    from drivereplay.spec import Spec

TRAINER_SHIFT = 5.0
"""Shift of a logit-normal t in the model's own trainer (Cosmos-Predict2.5's `RectifiedFlow` with
`train_time_distribution="logitnormal"` and `shift=5`)."""

_TEXT_LAYERS, _TEXT_WIDTH = 2, 16


class Cosmos25(Cosmos):
    """Cosmos-Predict2.5 video-to-world, one or two latent frames of context.

    Rectified flow: x_t = (1 − t)·x_0 + t·ε, velocity ε − x_0, timestep t. Context latents stay clean at t = 0.0001, and
    the loss is the future's alone. The text is what every layer of Qwen2.5-VL makes of it. Guidance is
    the pipeline's own, v + g·(v − v_empty).
    """

    family = "cosmos25"
    pipelines = ("Cosmos2_5_PredictBasePipeline",)
    context_time = 0.0001
    condition_dropout = 0.0  # that of its trainer is not known to us

    @classmethod
    def stock(cls) -> Any:
        from diffusers import Cosmos2_5_PredictBasePipeline

        return Cosmos2_5_PredictBasePipeline

    @classmethod
    def random(cls, spec: Spec) -> Cosmos25:
        from diffusers import AutoencoderKLWan, CosmosTransformer3DModel, UniPCMultistepScheduler

        options = dict(spec.model.config)
        vae = options.pop("vae", TINY_VAE)
        text = {
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": _TEXT_LAYERS * _TEXT_WIDTH,
            "encoder_hidden_states_channels": TINY["text_embed_dim"],
        }
        with layout.seeded(spec.seed):
            pipeline = cls.stock()(
                transformer=layout.built(CosmosTransformer3DModel, {**TINY, **text, **options}),
                vae=layout.built(AutoencoderKLWan, vae),
                text_encoder=_tiny_qwen(),
                tokenizer=_tiny_chat_tokenizer(),
                scheduler=UniPCMultistepScheduler(
                    use_karras_sigmas=True, use_flow_sigmas=True, prediction_type="flow_prediction", sigma_max=200.0,
                    sigma_min=0.01,
                ),
                safety_checker=Unguarded(),
            )  # fmt: skip
        return cls(pipeline, context=spec.clip.context, origin=layout.Origin(cls.pipelines[0]))

    def _check_context(self, context: int) -> None:
        super()._check_context(context)
        if context > 1 + self.codec.temporal:
            raise ModelError(
                f"clip.context is {context}, but Cosmos-Predict2.5 is given one or two latent frames.",
                f"Set clip.context to 1 or {1 + self.codec.temporal}.",
            )

    # ---------------------------------------------------------------- objective
    def default_levels(self) -> Levels:
        return Levels("normal", shift=TRAINER_SHIFT)

    def noise_levels(self, uniforms: Tensor, shape: Sequence[int]) -> Tensor:
        return self.levels.times(uniforms, self.tokens(shape))

    def _time(self, levels: Tensor) -> Tensor:
        return levels

    # ---------------------------------------------------------------- generation
    def _video(self, context: Tensor, frames: int, generator: torch.Generator, steps: int, given: Conditions) -> Tensor:
        height, width = context.shape[1:3]
        video: Tensor = self.pipeline(
            video=[picture(frame) for frame in context],
            num_latent_conditional_frames=self.codec.latent_frames(len(context)),
            prompt_embeds=self.text.of(given.prompts, self.device, self._embed),
            negative_prompt_embeds=self._unguided(given), guidance_scale=given.guidance,
            height=height, width=width, num_frames=frames, num_inference_steps=steps, generator=generator,
            output_type="pt",
        ).frames[0]  # fmt: skip
        checker = self.pipeline.safety_checker
        if isinstance(checker, Guarded):
            # the pipeline looks at videos only with a checker of its own class
            shown = checker.check_video_safety((video.permute(0, 2, 3, 1).cpu().numpy() * 255).astype(np.uint8))
            video = torch.from_numpy(np.asarray(shown)).permute(0, 3, 1, 2).float() / 255
        return video


def _tiny_qwen() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokens = len(tiny_tokenizer())
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": tokens, "hidden_size": _TEXT_WIDTH, "intermediate_size": 32,
            "num_hidden_layers": _TEXT_LAYERS, "num_attention_heads": 2, "num_key_value_heads": 2,
            "max_position_embeddings": 1024, "rope_parameters": {
                "rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": _TEXT_WIDTH,
        },
        image_token_id=2, video_token_id=2, vision_start_token_id=2, vision_end_token_id=2,
    )  # fmt: skip
    with layout.placed():
        return Qwen2_5_VLForConditionalGeneration(config).eval()


def _tiny_chat_tokenizer() -> Any:
    tokenizer = tiny_tokenizer(512)
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}{{ m['content'][0]['text'] }}{% endfor %}"
    return tokenizer
