from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drivereplay.errors import DriveReplayError
from drivereplay.evaluation.features import WorldsEncoder


def test_the_encoder_is_small_and_takes_any_length_and_size(tmp_path: Path) -> None:
    encoder = WorldsEncoder().eval()
    assert sum(p.numel() for p in encoder.parameters()) <= 700_000
    for shape in ((2, 2, 32, 48, 3), (1, 9, 64, 96, 3), (1, 4, 20, 24, 3)):
        assert encoder(torch.randint(0, 255, shape, dtype=torch.uint8)).shape == (shape[0], 64)


def test_it_is_the_same_after_the_disk(tmp_path: Path) -> None:
    encoder = WorldsEncoder(channels=(8, 8, 16, 16), features=5, height=16, width=24).eval()
    encoder.save(tmp_path)
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 4, 30, 40, 3), dtype=np.uint8))
    with torch.no_grad():
        torch.testing.assert_close(WorldsEncoder.load(tmp_path)(frames), encoder(frames))


def test_a_missing_encoder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DriveReplayError, match="no video encoder"):
        WorldsEncoder.load(tmp_path)
