from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip, make_spec

from drivereplay.errors import ProtocolError
from drivereplay.evaluation.forgetting import forgetting, loss_by_noise_level
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.report import Report


def _report(first: int, noise: float, clips: int = 6) -> Report:
    rng = np.random.default_rng(0)
    real = [make_clip(first + n) for n in range(clips)]
    made = [np.clip(c.frames + rng.normal(0, noise, c.frames.shape), 0, 255).astype(np.uint8) for c in real]
    names = ("fidelity.psnr", "fidelity.sharpness")
    return evaluate_pairs(list(zip(real, made, strict=True)), {}, metrics=names, resamples=100)


def test_one_domain_is_forgotten_one_gains_and_the_target_is_learnt() -> None:
    before = {"driving": _report(0, 30), "street": _report(20, 10), "signs": _report(40, 20)}
    after = {"driving": _report(0, 10), "street": _report(20, 30), "signs": _report(40, 10)}
    found = forgetting(before, after, "driving", resamples=100)
    assert found.plasticity["fidelity.psnr"].estimate.low > 0
    assert found.transfer["street"]["fidelity.psnr"].estimate.high < 0
    assert found.forgotten["street"]["fidelity.psnr"] > 5 and found.forgotten["signs"]["fidelity.psnr"] == 0
    # sharpness is better when lower: the sign is turned
    assert found.transfer["street"]["fidelity.sharpness"].estimate.mean < 0
    expected = np.mean([found.transfer[d]["fidelity.psnr"].estimate.mean for d in ("street", "signs")])
    assert found.mean_transfer("fidelity.psnr") == pytest.approx(expected) and len(found.rows()) == 4
    assert np.isnan(found.mean_transfer("agents.ade"))


def test_other_clips_are_refused() -> None:
    with pytest.raises(ProtocolError, match=r"clips\.count"):
        forgetting({"street": _report(0, 10)}, {"street": _report(0, 10, clips=5)}, "driving")


def test_losses_are_repeatable_and_of_each_clip() -> None:
    from drivereplay.models import load_model
    from drivereplay.spec import with_values

    spec = with_values(make_spec(), {"clip.frames": 5, "clip.context": 1, "clip.height": 16, "clip.width": 16})
    frames = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), dtype=np.uint8)
    clips = [type(make_clip(0))(f"c{n}", "d", np.roll(frames, n, 1), 1, 8.0) for n in range(2)]
    model = load_model(spec)
    first, again = (loss_by_noise_level(model, clips, (0.2, 0.8)) for _ in range(2))
    assert set(first) == {0.2, 0.8}
    for level in first:
        np.testing.assert_array_equal(first[level], again[level])
        assert np.isfinite(first[level]).all() and first[level].shape == (2,)
