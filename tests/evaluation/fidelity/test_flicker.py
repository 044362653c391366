from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation import references
from drivereplay.evaluation.fidelity.flicker import Flicker
from drivereplay.evaluation.footage import Footage


def test_flickering_and_freezing_are_both_seen() -> None:
    real, judge = Footage.of(make_clip(0)), Flicker()
    bright = real.frames.astype(int) + 25 * (np.arange(8) % 2)[:, None, None, None]
    flickering = real.with_frames(np.clip(bright, 0, 255).astype(np.uint8))
    assert judge.score(judge.curve(real, real)) == 0
    assert judge.score(judge.curve(real, flickering)) > 0.5
    assert judge.score(judge.curve(real, references.rows(real)["frozen"])) > 0.5
