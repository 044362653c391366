"""Constraints against the base: who is much worse is not on the front, and the sampler hears of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.search.problems import experiment

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit, feasible, judged_spec, limits_of, violations_of
from drivereplay.search.front import front_of
from drivereplay.search.same import check_same
from drivereplay.spec import SearchSpec, Spec, with_values

NAMES = ("fidelity.psnr", "agents.ade")


def row(trial: str, psnr: float, ade: float, **changes: Any) -> Candidate:
    metrics = {name: Estimate(v, v, v, 1) for name, v in zip(NAMES, (psnr, ade), strict=True)}
    made = Candidate(trial, 10, 0, "trial", {}, metrics, protocol="p", status="finished", setting=trial)
    return replace(made, **changes)


BASE = row("base", 20.0, 0.5, kind="base", step=0)


def test_a_worsening_is_counted_in_the_metrics_own_direction() -> None:
    psnr, ade = Limit("fidelity.psnr", "max", 1.0), Limit("agents.ade", "min", 0.1)
    candidate = row("t", 18.0, 0.55)
    assert violations_of(candidate, [psnr, ade], [BASE, candidate]) == pytest.approx((1.0, -0.05))
    assert violations_of(candidate, [psnr], [candidate]) == ()  # nothing to compare with yet
    assert Limit("agents.fde", "min", 0.1).violation(candidate, BASE) == math.inf
    assert psnr.violation(row("t", math.nan, 0.1), BASE) == math.inf


def test_who_violates_a_limit_is_not_on_the_front() -> None:
    rows = [BASE, row("good", 19.5, 0.3), row("blurred", 15.0, 0.1)]
    limit = Limit("fidelity.psnr", "max", 1.0)
    assert [c.trial for c in feasible(rows, [limit])] == ["base", "good"]
    front = front_of(rows, NAMES, ("max", "min"), limits=[limit])
    assert {c.trial for c in front.front} == {"base", "good"}
    assert {c.trial for c in front_of(rows, NAMES, ("max", "min")).front} == {"base", "good", "blurred"}
    assert front.to_json()["constraints"] == [{"metric": "fidelity.psnr", "direction": "max", "worse_by": 1.0}]


def test_the_mean_over_seeds_keeps_a_constraint_and_no_lucky_seed_does() -> None:
    limit = Limit("fidelity.psnr", "max", 1.0)
    lucky = row("t0", 19.5, 0.1)
    rows = [BASE, lucky, row("t0-s1", 15.0, 0.1, setting="t0", seed=1)]
    assert [c.trial for c in front_of([BASE, lucky], NAMES, ("max", "min"), limits=[limit]).front] == ["base", "t0"]
    assert [c.trial for c in front_of(rows, NAMES, ("max", "min"), limits=[limit]).front] == ["base"]
    # and the other way: one unlucky seed does not break it
    steady = [row(f"t0-s{seed}", 20.0, 0.1, setting="t0", seed=seed) for seed in (2, 3, 4, 5, 6)]
    front = front_of([*rows, *steady], NAMES, ("max", "min"), limits=[limit])
    assert (front.front[-1].trial, front.seeds[-1]) == ("t0", 7)
    assert [setting.candidate for setting in front.rivals()] == list(front.front)


def limited(spec: Spec, *metrics: str) -> Spec:
    return with_values(spec, {"search.constraints": dict.fromkeys(metrics, 0.1)})


def test_metrics_of_constraints_are_judged_as_the_objectives_are(tmp_path: Path) -> None:
    spec = experiment(tmp_path, objectives=list(NAMES))
    assert judged_spec(spec) == spec
    wanted = judged_spec(limited(spec, "gpu_hours", "fidelity.ssim", "agents.ade"))
    assert wanted.search.objectives == (*NAMES, "fidelity.ssim")


def test_a_changed_constraint_begins_another_sweep(tmp_path: Path) -> None:
    spec = experiment(tmp_path, objectives=list(NAMES))
    check_same(spec, limited(spec, "gpu_hours"))
    for earlier, later in ((spec, limited(spec, "fidelity.lpips")), (limited(spec, "fidelity.lpips"), spec)):
        with pytest.raises(SpecError, match=r"search\.constraints\.fidelity\.lpips was"):
            check_same(earlier, later)


def test_limits_are_read_and_checked() -> None:
    search = SearchSpec(constraints={"gpu_hours": 3.0, "fidelity.psnr": 0.5})
    assert limits_of(search, {"fidelity.psnr": "max"}) == (Limit("fidelity.psnr", "max", 0.5),)
    with pytest.raises(SpecError, match="below 0"):
        limits_of(SearchSpec(constraints={"fidelity.psnr": -1.0}), {"fidelity.psnr": "max"})
    with pytest.raises(SpecError, match="needs the anchor `base`"):
        limits_of(SearchSpec(constraints={"fidelity.psnr": 1.0}, anchors=("naive",)), {"fidelity.psnr": "max"})
