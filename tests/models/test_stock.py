"""What the families on stock pipelines share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models.helpers import spec_of

from drivereplay.errors import ModelError
from drivereplay.models import load_model
from drivereplay.models.stock import check_frames, check_grid, one_frame, picture


def test_sizes_are_refused_with_the_nearest_that_work() -> None:
    check_grid(64, 96, 32)
    check_frames(17, 8)
    one_frame("svd", 1)
    with pytest.raises(ModelError, match="nearest size is 64 × 96"):
        check_grid(60, 96, 32)
    with pytest.raises(ModelError, match=r"clip\.frames = 8 .* nearest number is 9"):
        check_frames(8, 8)
    with pytest.raises(ModelError, match=r"Set clip\.context to 1"):
        one_frame("svd", 3)


def test_a_frame_is_the_picture_it_was() -> None:
    frame = torch.randint(0, 256, (4, 6, 3), dtype=torch.uint8)
    shown = picture(frame)
    assert shown.size == (6, 4) and shown.getpixel((5, 3)) == tuple(frame[3, 5].tolist())


def test_latents_go_there_and_back_in_shape(tmp_path: Path) -> None:
    for family, frames, width in (("svd", 3, 48), ("ltx", 9, 64), ("cogvideox", 9, 48)):
        spec = spec_of("random", family, frames=frames, width=width)
        model = load_model(spec)
        clip = torch.randint(0, 256, (1, frames, 32, width, 3), dtype=torch.uint8)
        latents = model.encode(clip)
        assert latents.dtype == torch.float32 and not latents.requires_grad
        assert model.decode(latents).shape == clip.shape
        planned, _ = model.placeholder(1, frames, 32, width)
        assert planned.shape == latents.shape
        assert len(model.fingerprint()) == 16


def test_a_pickled_part_is_refused(tmp_path: Path) -> None:
    load_model(spec_of("random", "cogvideox")).save(tmp_path)
    for path in (tmp_path / "vae").glob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"vae holds pickled weights only"):
        load_model(spec_of(tmp_path, "cogvideox"))
