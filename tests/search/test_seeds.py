"""Seeds as replicates: pooled figures, probabilities, and who gets one more seed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from tests.search.problems import Analytic, experiment

from drivereplay.evaluation.draws import ClipFigures
from drivereplay.evaluation.report import Estimate
from drivereplay.evaluation.statistics import mean_interval
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit
from drivereplay.search.front import front_of
from drivereplay.search.seeds import next_round, pooled, probability_non_dominated
from drivereplay.search.sweep import sweep
from drivereplay.spec import RacingSpec

NAMES = ("loss.looks", "loss.motion")
MINIMISED = np.array([1.0, 1.0])


def row(trial: str, looks: float, motion: float, half: float = 0.1, setting: str = "", **changes: str) -> Candidate:
    metrics = {n: Estimate(v, v - half, v + half, 8) for n, v in zip(NAMES, (looks, motion), strict=True)}
    made = Candidate(trial, 10, 0, "trial", {}, metrics, protocol="p", status="finished", setting=setting or trial)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_figures_are_pooled_over_the_seeds_of_a_setting() -> None:
    rows = [row("t0", 1.0, 2.0), row("t0-s1", 1.2, 2.0, setting="t0"), row("t1", 5.0, 5.0)]
    both, alone = pooled(rows)
    assert (both.candidate.name, both.seeds, alone.seeds) == ("t0@10", 2, 1)
    looks = both.candidate.metrics["loss.looks"]
    assert looks.mean == pytest.approx(1.1) and looks.n == 8
    assert alone.candidate is rows[2]
    # without noise inside a seed the interval is Student's
    exact = pooled([row(f"t-s{i}", v, 1.0, 0.0, "t") for i, v in enumerate((1.0, 1.5, 1.3, 1.1))])[0].candidate
    low, high = ttest_1samp([1.0, 1.5, 1.3, 1.1], 0).confidence_interval()
    assert (exact.metrics["loss.looks"].low, exact.metrics["loss.looks"].high) == pytest.approx((low, high))


@pytest.mark.parametrize("spread", [(1, 1, 1), (0.05, 1, 0.1), (0.5, 0.1, 0.1)])
@pytest.mark.parametrize("seeds", [2, 8])
def test_a_pooled_interval_covers_although_all_seeds_are_evaluated_on_the_same_clips(
    spread: tuple[float, float, float], seeds: int
) -> None:
    """Standard deviations over seeds, over clips, and over both; 24 clips, 200 simulated settings."""
    generator = np.random.default_rng(seeds)
    hits = []
    for _ in range(200):
        clips, shifts = generator.normal(0, spread[1], 24), generator.normal(0, spread[0], seeds)
        found = []
        for k, shift in enumerate(shifts):
            values = shift + clips + generator.normal(0, spread[2], 24)
            figures = {"x": mean_interval(values, resamples=200)}
            found.append(replace(row(f"t-s{k}", 0.0, 0.0, setting="t"), metrics=figures))
        pooled_figure = pooled(found)[0].candidate.metrics["x"]
        hits.append(pooled_figure.low <= 0 <= pooled_figure.high)
    assert np.mean(hits) >= 0.9


def by_clip(trial: str, looks: np.ndarray, motion: np.ndarray, **changes: str) -> Candidate:
    """A candidate whose figures are known clip by clip."""
    units = tuple((f"clip{i}", f"clip{i}") for i in range(len(looks)))
    figures = {n: ClipFigures(v.mean(), v, units) for n, v in zip(NAMES, (looks, motion), strict=True)}
    metrics = {n: mean_interval(f.values) for n, f in figures.items()}
    made = Candidate(trial, 10, 0, "trial", {}, metrics, protocol="p", status="finished", setting=trial)
    return replace(made, figures=figures, **changes)  # type: ignore[arg-type]


def test_a_clear_winner_on_the_same_clips_is_one() -> None:
    generator = np.random.default_rng(0)
    difficulty = generator.gamma(2.0, 5.0, (2, 64))

    def made(trial: str, by: float) -> Candidate:
        looks, motion = difficulty + by + generator.normal(0, 0.2, (2, 64))
        return by_clip(trial, looks, motion)

    rows = [made("best", 0.0), made("worse", 0.3), made("worst", 2.0)]
    assert probability_non_dominated(pooled(rows), NAMES, MINIMISED).tolist() == [1.0, 0.0, 0.0]
    # from the intervals alone it is anyone's guess
    blind = [replace(candidate, figures={}) for candidate in rows]
    assert probability_non_dominated(pooled(blind), NAMES, MINIMISED)[0] < 0.9
    # a racing round has nothing to settle any more
    assert next_round(rows, NAMES, MINIMISED, RacingSpec(seeds=3, budget=4), seed=0, used=0) == []


def test_a_figure_without_an_interval_gets_none_from_its_seeds() -> None:
    rows = [row(f"t-s{k}", v, 1.0, math.nan, "t") for k, v in enumerate((1.0, 1.5))]
    looks = pooled(rows)[0].candidate.metrics["loss.looks"]
    assert looks.mean == 1.25 and math.isnan(looks.low)


def test_a_lucky_seed_alone_does_not_make_the_front() -> None:
    rows = [row("t0", 1.0, 1.0), row("t1", 0.5, 0.5), row("t1-s1", 2.5, 2.5, setting="t1")]
    front = front_of(rows, NAMES, ("min", "min"))
    assert [c.name for c in front.front] == ["t0@10"]
    assert front.seeds == (1,)


def test_probabilities_say_how_sure_a_place_is() -> None:
    rows = [row("clear", 0.0, 0.0, 0.01), row("twin", 0.0, 0.0, 0.01), row("bad", 5.0, 5.0, 0.01)]
    chance = probability_non_dominated(pooled(rows), NAMES, MINIMISED)
    assert chance[2] == 0.0
    # of two equal candidates each is dominated by the other one time in four
    assert chance[:2] == pytest.approx([0.75, 0.75], abs=0.07)
    assert probability_non_dominated([], NAMES, MINIMISED).size == 0
    nan_interval = replace(rows[0], metrics={n: Estimate(0.0, math.nan, math.nan, 1) for n in NAMES})
    assert probability_non_dominated(pooled([nan_interval, rows[2]]), NAMES, MINIMISED).tolist() == [1.0, 0.0]


def test_the_least_settled_get_the_next_seed() -> None:
    rows = [
        row("sure", 0.0, 0.0, 0.01), row("lost", 9.0, 9.0, 0.01),
        row("edge", -0.3, 0.2, 1.0), row("worse", 0.5, 0.5, 1.5), row("base", 0.0, 0.0, 1.0, kind="base"),
    ]  # fmt: skip
    racing = RacingSpec(seeds=3, budget=4)
    asked = next_round(rows, NAMES, MINIMISED, racing, seed=7, used=0)
    assert {r.setting for r in asked} == {"sure", "edge", "worse"} - ({"sure"} if len(asked) == 2 else set())
    assert {(r.trial, r.seed, r.kind) for r in asked} >= {("edge-s1", 8, "replicate"), ("worse-s1", 8, "replicate")}
    assert len(next_round(rows, NAMES, MINIMISED, racing, seed=7, used=3)) == 1
    assert next_round(rows, NAMES, MINIMISED, racing, seed=7, used=4) == []
    full = [*rows, *(row(f"{t}-s{k}", 0.0, 0.0, 1.0, t) for t in ("edge", "worse", "sure") for k in (1, 2))]
    assert next_round(full, NAMES, MINIMISED, racing, seed=7, used=0) == []


def test_no_seed_is_spent_on_a_setting_that_violates_a_constraint() -> None:
    rows = [
        row("base", 2.0, 2.0, 0.1, kind="base"), row("edge", 0.3, 0.2, 1.0), row("worse", 0.5, 0.5, 1.5),
        row("wild", -1.0, 5.0, 1.5),
    ]  # fmt: skip
    racing = RacingSpec(seeds=3, budget=4)
    limits = [Limit("loss.motion", "min", 1.0)]
    free = next_round(rows, NAMES, MINIMISED, racing, seed=7, used=0)
    kept = next_round(rows, NAMES, MINIMISED, racing, seed=7, used=0, limits=limits)
    assert "wild" in {r.setting for r in free}
    assert {r.setting for r in kept} == {"edge", "worse"}


def test_replicates_are_run_within_their_budget(ray_session: None, tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=3, sampler="random", racing={"seeds": 2, "budget": 2})
    front = sweep(spec, runner=Analytic(), show_progress=False)
    replicates = [c for c in front.candidates if c.kind == "replicate"]
    assert 1 <= len(replicates) <= 2
    assert {c.seed for c in replicates} == {1}
    settings = {c.trial: c.parameters for c in front.candidates}
    assert all(c.parameters == settings[c.setting] for c in replicates)
    shown = front.to_json()["front"]
    assert all(0 <= c["probability_non_dominated"] <= 1 and c["seeds"] in (1, 2) for c in shown)
