"""LoRA files as the stock pipeline reads them, beside a base that is linked and not copied."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image
from tests.models.helpers import frames_like, spec_of, wan_pipeline

from drivereplay.models import load_checkpoint, load_model, lora
from drivereplay.models.base import Conditions


def test_the_stock_pipeline_loads_our_factors(tmp_path: Path) -> None:
    wan_pipeline().save_pretrained(tmp_path / "base")
    spec = spec_of(tmp_path / "base", "wan")
    model = load_model(spec)
    frames = frames_like(spec, 1)
    before = model.generate(frames[:, :1], 9, [5], 3, Conditions([""], 8.0))
    lora.inject(model.module, rank=2, alpha=8.0, targets=model.lora_targets, seed=0)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if "lora_" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    model.save(tmp_path / "saved")
    ours = model.generate(frames[:, :1], 9, [5], 3, Conditions([""], 8.0))
    assert not torch.equal(ours, before)

    stock = WanImageToVideoPipeline.from_pretrained(tmp_path / "saved")
    stock.load_lora_weights(tmp_path / "saved")
    stock.set_progress_bar_config(disable=True)
    video = stock(
        Image.fromarray(frames[0, 0].numpy()), "", height=32, width=48, num_frames=9, num_inference_steps=3,
        guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="pt",
    ).frames[0]  # fmt: skip
    theirs = (video * 255).round().to(torch.uint8).movedim(1, -1)
    assert (theirs[1:].int() - ours[0, 1:].int()).abs().max() <= 1
    merged = load_checkpoint(tmp_path / "saved").generate(frames[:, :1], 9, [5], 3, Conditions([""], 8.0))
    assert (merged.int() - ours.int()).abs().max() <= 1


def test_unchanged_parts_are_linked(tmp_path: Path) -> None:
    wan_pipeline().save_pretrained(tmp_path / "base")
    model = load_model(spec_of(tmp_path / "base", "wan"))
    lora.inject(model.module, rank=2, alpha=2.0, targets=model.lora_targets, seed=0)
    model.save(tmp_path / "saved")
    for part in ("transformer", "vae", "text_encoder"):
        weights = sorted((tmp_path / "base" / part).glob("*.safetensors"))
        assert weights
        assert all(path.samefile(tmp_path / "saved" / part / path.name) for path in weights)
