from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip
from tests.evaluation.networks.goldens import needs

from drivereplay.evaluation.fidelity.lpips import LpipsDistance
from drivereplay.evaluation.footage import Footage


def test_pictures_too_small_for_the_network_are_refused() -> None:
    small = Footage(np.zeros((4, 24, 40, 3), np.uint8), 1, 8.0)
    assert "31 px" in str(LpipsDistance().refuses(small)) and LpipsDistance().refuses(Footage.of(make_clip(0))) is None


def test_noise_is_further_than_nothing() -> None:
    needs("lpips")
    real, judge = Footage.of(make_clip(0)), LpipsDistance()
    noisy = np.clip(real.frames + np.random.default_rng(0).normal(0, 30, real.frames.shape), 0, 255).astype(np.uint8)
    assert (judge.curve(real, real) == 0).all() and (judge.curve(real, real.with_frames(noisy)) > 0.05).all()
