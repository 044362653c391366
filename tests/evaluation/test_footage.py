from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.footage import Footage


def test_an_estimate_is_made_once() -> None:
    footage, made = Footage.of(make_clip()), []
    for _ in range(3):
        footage.estimate("thing", lambda: made.append(1) or len(made))
    assert made == [1]


def test_another_video_of_a_clip_shares_its_facts_but_no_estimates() -> None:
    real = Footage.of(make_clip())
    real.estimate("thing", lambda: 1)
    other = real.with_frames(np.zeros_like(real.frames))
    assert other.context == real.context and other.annotations is real.annotations and not other.estimates
    assert real.grey.shape == real.frames.shape[:3] and len(real.future) == 6
    assert real.diagonal_px == np.hypot(48, 64)
