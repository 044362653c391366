from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.errors import ProtocolError
from drivereplay.evaluation.compare import compare
from drivereplay.evaluation.judge import evaluate_pairs

METRICS = ("fidelity.psnr", "fidelity.sharpness")


def _judged(noise: float, how: dict[str, object] | None = None):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    clips = [make_clip(n) for n in range(6)]
    pairs = [(c, np.clip(c.frames + rng.normal(0, noise, c.frames.shape), 0, 255).astype(np.uint8)) for c in clips]
    return evaluate_pairs(pairs, how or {}, metrics=METRICS, resamples=200)


def test_the_better_one_is_called_better() -> None:
    found = compare(_judged(5.0), _judged(20.0))
    assert found.verdict("fidelity.psnr").startswith("better by") and found.differences["fidelity.psnr"].p < 0.05
    assert compare(_judged(20.0), _judged(5.0)).verdict("fidelity.psnr").startswith("worse by")
    assert [row["metric"] for row in found.rows()] == list(METRICS)
    assert found.to_json()["fidelity.psnr"]["low"] > 0


def test_a_metric_without_a_clip_in_common_has_nothing_to_compare() -> None:
    a, b = _judged(5.0), _judged(20.0)
    for report, half in ((a, slice(0, 3)), (b, slice(3, 6))):
        report.per_clip["fidelity.psnr"] = report.per_clip["fidelity.psnr"].copy()
        report.per_clip["fidelity.psnr"][half] = np.nan
    found = compare(a, b)
    assert found.verdict("fidelity.psnr") == "nothing to compare: no clip has a figure in both"
    assert found.to_json()["fidelity.psnr"]["verdict"] == found.rows()[0]["verdict"] == found.verdict("fidelity.psnr")
    assert found.verdict("fidelity.sharpness").startswith("better by")


def test_reports_of_other_bootstrap_seeds_are_compared_draw_by_draw() -> None:
    rng = np.random.default_rng(0)
    clips = [make_clip(n) for n in range(4)]
    pairs = [(c, np.clip(c.frames + rng.normal(0, 20, c.frames.shape), 0, 255).astype(np.uint8)) for c in clips]
    name = "fidelity.fvd_worlds"
    reports = [evaluate_pairs(pairs, {}, metrics=(name,), resamples=100, seed=seed) for seed in (0, 1)]
    found = compare(*reports).differences[name]
    assert (found.estimate.low, found.estimate.mean, found.estimate.high, found.p) == (0, 0, 0, 1)


def test_other_protocols_are_refused_with_their_fields() -> None:
    with pytest.raises(ProtocolError, match="split: 'all' against 'regular'"):
        compare(_judged(5.0, {"split": "all"}), _judged(5.0, {"split": "regular"}))
