"""Tiny stock pipelines with random weights, written to disk as anybody's pipeline would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from drivereplay.models.text import tiny_encoder, tiny_tokenizer
from drivereplay.spec import Spec, parse_spec


def spec_of(base: str | Path, family: str, **clip: Any) -> Spec:
    """An experiment on a base."""
    return parse_spec(
        {
            "name": "t",
            "clip": {"frames": 9, "context": 1, "height": 32, "width": 48, **clip},
            "model": {"family": family, "base": str(base)},
            "target": {"name": "d", "source": {"kind": "world", "world": "highway"}},
        }
    )


def frames_like(spec: Spec, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """Random smooth clips (B, T, H, W, 3) uint8."""
    clip = spec.clip
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(batch, 3, 3, 3, 4, generator=generator)
    large = torch.nn.functional.interpolate(small, (clip.frames, clip.height, clip.width), mode="trilinear")
    return (large * 255).round().to(torch.uint8).movedim(1, -1).contiguous()


def wan_vae() -> Any:
    """Four channels, 4 frames and 8 × 8 pixels a latent."""
    from diffusers import AutoencoderKLWan

    statistics = {"latents_mean": [0.1] * 4, "latents_std": [2.0] * 4}
    return AutoencoderKLWan(base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **statistics)


def wan_pipeline(
    *, image_encoder: bool = False, in_channels: int = 12, expand: bool = False, text: bool = False
) -> Any:
    """A stock Wan pipeline: image-to-video, or text-to-video."""
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline, WanTransformer3DModel
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel, UMT5EncoderModel

    torch.manual_seed(0)
    clip = (
        CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=32,
                patch_size=16,
            )
        )
        if image_encoder
        else None
    )
    transformer = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=in_channels, out_channels=4, text_dim=16, freq_dim=16,
        ffn_dim=32, num_layers=2, image_dim=16 if image_encoder else None, added_kv_proj_dim=24 if image_encoder else None,
    )  # fmt: skip
    parts: dict[str, Any] = {
        "tokenizer": tiny_tokenizer(512),
        "text_encoder": tiny_encoder(UMT5EncoderModel, 16),
        "vae": wan_vae(),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        "transformer": transformer,
        "expand_timesteps": expand,
    }
    if text:
        return WanPipeline(**parts)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32) if image_encoder else None
    return WanImageToVideoPipeline(**parts, image_encoder=clip, image_processor=processor)
