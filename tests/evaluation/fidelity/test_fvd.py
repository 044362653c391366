from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip
from tests.evaluation.networks.goldens import needs

from drivereplay.evaluation.fidelity.fvd import Fvd, Kvd
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.judge import evaluate_pairs


def test_short_clips_are_refused_with_the_number_that_would_do() -> None:
    assert Fvd().refuses(Footage.of(make_clip(0))) == "I3D needs 10 future frames, the clips have 6"
    assert Kvd().refuses(Footage.of(make_clip(0, frames=12, velocity=(1, 0)))) is None


def test_the_distances_are_those_of_their_features() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30, 12))
    for judge in (Fvd(), Kvd()):
        assert judge.distance(a, b + 1) > judge.distance(a, b) and judge.direction == "min"


@pytest.mark.slow
def test_frozen_videos_are_further_than_a_faint_blur() -> None:
    needs("i3d")
    clips = [make_clip(n, frames=12, velocity=(1.5, 0.0)) for n in range(3)]
    report = evaluate_pairs([(c, c.frames // 2 * 2) for c in clips], {}, metrics=("fidelity.fvd", "fidelity.kvd"))
    assert report.metrics["fidelity.fvd"].mean < report.references["frozen"]["fidelity.fvd"].mean
    assert any("it takes 400" in w for w in report.warnings)
