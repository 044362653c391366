from __future__ import annotations

import numpy as np

from drivereplay.evaluation.assemble import Collected, assemble
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.scoring import Scores

PSNR, ADE, FVD = "fidelity.psnr", "agents.ade", "fidelity.fvd_worlds"


def _collected(n: int, k: int = 1) -> Collected:
    rng = np.random.default_rng(0)
    collected = Collected(names=[f"c{i}" for i in range(n)], subsets=[""] * n, fps=4.0)

    def scores(shift: float) -> Scores:
        curves = {PSNR: rng.normal(20 + shift, 1, (n, 3)), ADE: np.full((n, 3), np.nan)}
        return Scores(curves, {FVD: rng.normal(shift, 1, (n, 1, 4)).astype(np.float32)})

    collected.samples = [[scores(s)] for s in range(k)]
    collected.rows = {"real": [scores(0)], "frozen": [scores(5)]}
    return collected


def test_means_best_and_sets() -> None:
    report = assemble(_collected(20, k=2), [PSNR, ADE, FVD], Protocol({}), resamples=200, seed=0)
    assert report.tables["best"][PSNR]["mean"] > report.metrics[PSNR].mean
    assert report.tables["horizon"][PSNR]["seconds"] == [0.25, 0.5, 0.75]
    assert report.references["frozen"][FVD].mean > report.references["real"][FVD].mean
    assert len(report.resampled[FVD]) == 200 and report.metrics[FVD].low < report.metrics[FVD].mean
    assert ADE not in report.metrics and ADE not in report.units
    assert any("it takes 128 before it can be believed" in w for w in report.warnings)


def test_draws_of_sets_have_a_seed_of_their_own() -> None:
    def judged(seed: int, draws: int) -> Report:
        return assemble(_collected(20), [PSNR, FVD], Protocol({}), resamples=200, seed=seed, draws=draws)

    first, other, drawn = judged(0, 0), judged(1, 0), judged(0, 1)
    np.testing.assert_array_equal(first.resampled[FVD], other.resampled[FVD])
    assert first.metrics[PSNR] != other.metrics[PSNR] and first.metrics[PSNR] == drawn.metrics[PSNR]
    assert (first.resampled[FVD] != drawn.resampled[FVD]).any()


def test_one_clip_has_no_set_figure() -> None:
    report = assemble(_collected(1), [PSNR, FVD], Protocol({}), resamples=100, seed=0)
    assert FVD not in report.metrics and any("two clips" in w for w in report.warnings)
    assert np.isnan(report.metrics[PSNR].low)
