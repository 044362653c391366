"""Paired draws, against simulated evaluations whose truth is known and against the plain paired bootstrap."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drivereplay.errors import ProtocolError
from drivereplay.evaluation.draws import ClipFigures, Row, paired_draws, standard_errors

X, Y = "x", "y@rare"


def units(recordings: int, clips: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"r{g}", f"r{g}/{c}") for g in range(recordings) for c in range(clips))


def row(setting: str, values: np.ndarray, which: tuple[tuple[str, str], ...], name: str = X, **more: object) -> Row:
    return Row(setting, {name: ClipFigures(float(np.nanmean(values)), values, which)}, **more)  # type: ignore[arg-type]


def covered(rows: list[Row], truth: float, seed: int) -> bool:
    low, high = paired_draws(rows, [X], resamples=400, seed=seed).interval()
    return bool(low[0, 0] <= truth <= high[0, 0])


@pytest.mark.parametrize(
    ("recordings", "clips", "between", "within"),
    [(8, 8, 1.0, 1.0), (8, 8, 1.0, 0.3), (8, 8, 0.0, 1.0), (4, 16, 1.0, 1.0), (64, 1, 0.0, 1.0), (1, 16, 0.0, 1.0)],
)
def test_intervals_cover_with_few_recordings_of_many_clips(
    recordings: int, clips: int, between: float, within: float
) -> None:
    generator = np.random.default_rng(recordings)
    which = units(recordings, clips)
    hits = []
    for trial in range(200):
        values = generator.normal(0, between, (recordings, 1)) + generator.normal(0, within, (recordings, clips))
        hits.append(covered([row("a", values.ravel(), which)], 0.0, trial))
    assert 0.91 <= np.mean(hits) <= 0.985


@pytest.mark.parametrize("seeds", [2, 3, 8])
@pytest.mark.parametrize(("seed_sd", "clip_sd", "both_sd"), [(1, 1, 1), (0.05, 1, 0.1), (0.5, 0.1, 0.1)])
def test_a_setting_s_interval_covers_with_few_seeds(seeds: int, seed_sd: float, clip_sd: float, both_sd: float) -> None:
    generator = np.random.default_rng(seeds)
    which = units(24, 1)
    hits = []
    for trial in range(200):
        common = generator.normal(0, clip_sd, 24)
        rows = [
            row("a", generator.normal(0, seed_sd) + common + generator.normal(0, both_sd, 24), which)
            for _ in range(seeds)
        ]
        hits.append(covered(rows, 0.0, trial))
    assert np.mean(hits) >= 0.9


def test_one_seed_borrows_the_spread_of_settings_that_have_several() -> None:
    generator = np.random.default_rng(3)
    which = units(24, 1)
    hits = {"with": [], "without": []}
    for trial in range(200):
        common = generator.normal(0, 0.2, 24)
        rows = [row(f"s{s}", generator.normal(0, 1) + common, which) for s in range(4) for _ in range(4 if s else 1)]
        hits["with"].append(covered(rows, 0.0, trial))
        hits["without"].append(covered(rows[:1], 0.0, trial))
    assert np.mean(hits["with"]) >= 0.9 and np.mean(hits["without"]) < 0.4


def test_one_replicate_does_not_make_all_other_settings_unknown() -> None:
    which = units(12, 1)
    rows = [row("a", np.full(12, v), which) for v in (0.0, 1.0)] + [row("b", np.zeros(12), which)]
    low, high = paired_draws(rows, [X], resamples=4000).interval()
    width = (high - low)[:, 0]
    # Student's t: 12.7 for the two seeds' own mean, 2.78 for what is borrowed
    spread = np.sqrt(0.5)
    assert width[0] == pytest.approx(2 * 12.7 * spread / np.sqrt(2), rel=0.35)
    assert width[1] == pytest.approx(2 * 2.78 * spread, rel=0.1)


def test_steps_of_one_run_are_no_further_evidence_about_seeds() -> None:
    generator = np.random.default_rng(4)
    which = units(24, 1)
    hits = []
    for trial in range(200):
        shift = generator.normal(0, 1, 2)  # one run and its replicate, of which each has ten checkpoints
        rows = [row(f"a@{step}", shift[k] + np.zeros(24), which, run="a") for step in range(10) for k in range(2)]
        hits.append(covered(rows, 0.0, trial))
    assert np.mean(hits) >= 0.9


def test_a_base_that_was_not_trained_has_no_seed() -> None:
    which = units(12, 1)
    rows = [row("a", np.full(12, v), which) for v in (0.0, 1.0)] + [row("base", np.zeros(12), which, seeded=False)]
    spread = np.ptp(paired_draws(rows, [X]).values[:, :, 0], axis=0)
    assert spread[0] > 1 and spread[1] == 0


def test_differences_are_as_sure_as_a_paired_bootstrap_says() -> None:
    generator = np.random.default_rng(0)
    difficulty = generator.gamma(2.0, 5.0, 64)
    which = units(64, 1)
    one, other = difficulty + generator.normal(0.2, 0.3, 64), difficulty
    draws = paired_draws([row("a", one, which), row("b", other, which)], [X], resamples=4000)
    point, low, high = draws.difference(0, 1)
    assert point[0] == pytest.approx((one - other).mean()) and 0 < low[0] < point[0] < high[0]
    chosen = np.random.default_rng(1).integers(0, 64, (4000, 64))
    plain = np.quantile((one - other)[chosen].mean(1), [0.025, 0.975])
    assert high[0] - low[0] == pytest.approx(np.ptp(plain), rel=0.1)
    # each figure by itself is far less sure
    assert (draws.interval()[1] - draws.interval()[0])[0, 0] > 20 * (high[0] - low[0])


def test_sets_with_clips_in_common_move_together_and_others_do_not() -> None:
    generator = np.random.default_rng(1)
    which = units(40, 1)
    values = generator.normal(size=40)
    figures = {
        X: ClipFigures(values.mean(), values, which),
        Y: ClipFigures(values[:30].mean(), values[:30], which[:30]),
        "z": ClipFigures(values.mean(), values, tuple((f"other{g}", c) for g, c in which)),
    }
    draws = paired_draws([Row("a", figures)], [X, Y, "z"]).values[:, 0]
    correlation = np.corrcoef(draws.T)
    assert correlation[0, 1] > 0.7 and abs(correlation[0, 2]) < 0.15


def test_clips_without_a_figure_are_left_out_and_other_clips_are_refused() -> None:
    which = units(6, 1)
    values = np.array([1.0, 2.0, 3.0, np.nan, np.nan, np.nan])
    low, high = paired_draws([row("a", values, which)], [X]).interval()
    full_low, full_high = paired_draws([row("a", values[:3], which[:3])], [X]).interval()
    assert high - low == pytest.approx(full_high - full_low, rel=0.15)
    with pytest.raises(ProtocolError, match="different clips"):
        paired_draws([row("a", values, which), row("b", values, units(3, 2))], [X])
    alone = paired_draws([row("a", values[2:], which[2:])], [X])
    assert np.isnan(alone.interval()[0]).all() and (alone.values == 3.0).all()


def test_standard_errors_are_the_cluster_robust_ones() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(size=(2, 12))
    values[1, :2] = np.nan
    recordings = np.array([f"r{i // 3}" for i in range(12)])
    errors, degrees = standard_errors(values, recordings)
    means = values[0].reshape(4, 3).mean(1)
    assert errors[0] == pytest.approx(means.std(ddof=1) / 2) and degrees.tolist() == [3, 3]
    assert standard_errors(values[:, :3], recordings[:3])[1].tolist() == [2, 0]


def test_figures_survive_json() -> None:
    found = ClipFigures(1.5, np.array([1.0, np.nan, 2.0]), units(3, 1))
    back = ClipFigures.from_json(json.loads(json.dumps(found.to_json())))
    assert back == found and back.units is ClipFigures.from_json(found.to_json()).units
    assert found != ClipFigures(1.5, np.array([1.0, np.nan, 2.1]), units(3, 1))
