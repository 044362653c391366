from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip, texture

from drivereplay.errors import SpecError
from drivereplay.evaluation.agents.motion_amount import AgentsMotionAmount
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric, check_objectives, metric
from drivereplay.evaluation.motion.amount import MotionAmount, MotionAmountError
from drivereplay.evaluation.motion.distribution import MotionDistribution


def _score(one: ClipMetric, real: Footage, frames: np.ndarray) -> float:
    return one.score(one.curve(real, real.with_frames(frames)))


def _pan(step_px: int, frames: int = 12) -> np.ndarray:
    """A camera that pans over a texture, by 4 px a frame up to the last given one and by `step_px` from there on."""
    paint = texture(np.random.default_rng(7), 96, 160 + 4 * frames, 2.0)
    lefts = [0, 4, *(4 + step_px * n for n in range(1, frames - 1))]
    return np.stack([paint[:, left : left + 160] for left in lefts])


def test_half_as_much_motion_is_minus_ln_two() -> None:
    real = Footage(_pan(4), 2, 8.0)
    assert _score(MotionAmount(), real, _pan(2)) == pytest.approx(-np.log(2), abs=0.1)
    assert _score(MotionAmountError(), real, _pan(2)) == pytest.approx(np.log(2), abs=0.1)
    assert _score(MotionAmount(), real, real.frames.copy()) == pytest.approx(0, abs=0.02)
    frozen = np.concatenate([real.frames[:2], np.repeat(real.frames[1:2], 10, axis=0)])
    assert _score(MotionAmount(), real, frozen) < -2
    still = Footage(frozen, 2, 8.0)
    assert _score(MotionAmount(), still, frozen.copy()) == 0


def test_objects_are_seen_whatever_the_camera_does() -> None:
    clip = make_clip(7, frames=12, height=96, width=160, pan=1, velocity=(4.0, 0.0))
    slow = make_clip(7, frames=12, height=96, width=160, pan=1, velocity=(1.0, 0.0))
    real = Footage.of(clip)
    assert _score(AgentsMotionAmount(), real, clip.frames.copy()) == pytest.approx(0, abs=0.05)
    assert _score(AgentsMotionAmount(), real, slow.frames) < -0.5


def test_the_distribution_needs_no_pairs() -> None:
    one = MotionDistribution()
    real = [Footage(make_clip(n, frames=10, pan=2, height=64, width=96).frames, 2, 8.0) for n in range(8)]
    others = [Footage(make_clip(n + 50, frames=10, pan=2, height=64, width=96).frames, 2, 8.0) for n in range(8)]
    slow = [Footage(make_clip(n + 50, frames=10, pan=0, height=64, width=96).frames, 2, 8.0) for n in range(8)]
    features = [one.features(clips)[:, 0].astype(np.float64) for clips in (real, others, slow)]
    assert one.distance(features[0], features[0]) == pytest.approx(0, abs=1e-6)
    assert one.distance(features[0], features[2]) > 3 * one.distance(features[0], features[1])


def test_what_can_be_won_by_one_error_is_no_objective(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SpecError, match=r"motion\.amount is signed") as refused:
        check_objectives(["fidelity.psnr", "motion.amount@rare"])
    assert "motion.amount_error" in str(refused.value)
    with pytest.raises(SpecError, match="one kind of error"):
        check_objectives(["fidelity.psnr", "agents.missing_rate"])
    check_objectives(["fidelity.psnr", "agents.ade"])
    check_objectives(["agents.missing_rate", "agents.ade"])
    assert [r.getMessage().split()[0] for r in caplog.records] == ["agents.missing_rate"]
    assert metric("agents.ade").primary and metric("ego.motion_error").primary
    assert not metric("agents.relative_bearing").primary  # never measured on recordings: no positions there
