from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.clips import make_clip
from torchmetrics.functional.image import peak_signal_noise_ratio

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric, metric


def test_it_is_torchmetrics_s() -> None:
    judge = metric("fidelity.psnr")
    assert isinstance(judge, ClipMetric)
    real = Footage.of(make_clip(0))
    made = real.with_frames(np.random.default_rng(0).integers(0, 255, real.frames.shape, dtype=np.uint8))
    for t, ours in enumerate(judge.curve(real, made), start=2):
        pair = [torch.from_numpy(f.frames[t]).float() for f in (made, real)]
        assert ours == pytest.approx(float(peak_signal_noise_ratio(*pair, data_range=255.0)), abs=1e-3)
    assert (judge.curve(real, real) == 100).all()
