from __future__ import annotations

import numpy as np

from drivereplay.evaluation.assemble import Collected, assemble
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.scoring import Scores

PSNR, ADE, FVD, KVD = "fidelity.psnr", "agents.ade", "fidelity.fvd_worlds", "fidelity.kvd_worlds"


def _collected(n: int, k: int = 1) -> Collected:
    rng = np.random.default_rng(0)
    collected = Collected(units=[(f"c{i}", f"c{i}") for i in range(n)], subsets=[""] * n, fps=4.0)

    def scores(shift: float) -> Scores:
        curves = {PSNR: rng.normal(20 + shift, 1, (n, 3)), ADE: np.full((n, 3), np.nan)}
        return Scores(curves, {name: rng.normal(shift, 1, (n, 1, 4)).astype(np.float32) for name in (FVD, KVD)})

    collected.samples = [[scores(0.5 + s)] for s in range(k)]
    collected.rows = {"real": [scores(0)], "frozen": [scores(5)]}
    return collected


def test_means_best_and_sets() -> None:
    report = assemble(_collected(20, k=2), [PSNR, ADE, FVD], Protocol({}), resamples=200, seed=0)
    assert report.tables["best"][PSNR]["mean"] > report.metrics[PSNR].mean
    assert report.tables["horizon"][PSNR]["seconds"] == [0.25, 0.5, 0.75]
    assert report.references["frozen"][FVD].mean > report.metrics[FVD].mean > report.references["real"][FVD].mean == 0
    assert len(report.pseudo_values[FVD]) == 20
    assert ADE not in report.metrics and ADE not in report.units
    assert any("it takes 128 before it can be believed" in w for w in report.warnings)


def test_a_frechet_figure_is_shown_at_n_without_an_interval_and_extrapolated_with_one() -> None:
    report = assemble(_collected(20), [FVD, KVD], Protocol({}), resamples=200, seed=0)
    at_n, endless = report.metrics[FVD], report.tables["unbiased"][FVD]
    assert np.isnan(at_n.low) and endless["low"] < endless["mean"] < at_n.mean
    assert report.metrics[KVD].low < report.metrics[KVD].mean < report.metrics[KVD].high
    # with fewer clips than features nothing is known of the distance
    few = assemble(_collected(4), [FVD], Protocol({}), resamples=200, seed=0)
    assert np.isnan(few.tables["unbiased"][FVD]["low"])


def test_clips_of_one_recording_widen_the_interval() -> None:
    alone, together = _collected(20), _collected(20)
    for collected in (alone, together):
        collected.samples[0][0].curves[PSNR] = np.repeat(np.arange(5.0), 4)[:, None] + np.zeros((20, 3))
    together.units = [(f"r{i // 4}", clip) for i, (_, clip) in enumerate(together.units)]
    a, b = (assemble(c, [PSNR], Protocol({}), resamples=200, seed=0) for c in (alone, together))
    assert b.metrics[PSNR].high - b.metrics[PSNR].low > 2 * (a.metrics[PSNR].high - a.metrics[PSNR].low)
    assert b.groups[:5] == ["r0", "r0", "r0", "r0", "r1"] and b.figures([PSNR])[PSNR].units[4] == ("r1", "c4")


def test_one_clip_has_no_set_figure() -> None:
    report = assemble(_collected(1), [PSNR, FVD], Protocol({}), resamples=100, seed=0)
    assert FVD not in report.metrics and any("two clips" in w for w in report.warnings)
    assert np.isnan(report.metrics[PSNR].low)
