from __future__ import annotations

import cv2
import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.fidelity.sharpness import Sharpness
from drivereplay.evaluation.footage import Footage


def test_more_blur_is_worse_and_noise_is_no_cure() -> None:
    real, judge = Footage.of(make_clip(0)), Sharpness()
    scores = []
    for sigma in (0.5, 1.0, 2.0):
        blurred = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in real.frames])
        scores.append(judge.score(judge.curve(real, real.with_frames(blurred))))
    assert 0 < scores[0] < scores[1] < scores[2] and judge.score(judge.curve(real, real)) == 0
    noisy = np.clip(real.frames + np.random.default_rng(0).normal(0, 40, real.frames.shape), 0, 255).astype(np.uint8)
    assert judge.score(judge.curve(real, real.with_frames(noisy))) > 0.5
    black = real.with_frames(np.zeros_like(real.frames))
    assert np.isfinite(judge.curve(real, black)).all() and np.isfinite(judge.curve(black, real)).all()
