"""Constraints against the base: who is much worse is not on the front, and the sampler hears of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit, feasible, limits_of, violations_of
from drivereplay.search.front import front_of
from drivereplay.spec import SearchSpec

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


def test_limits_are_read_and_checked() -> None:
    search = SearchSpec(constraints={"gpu_hours": 3.0, "fidelity.psnr": 0.5})
    assert limits_of(search, {"fidelity.psnr": "max"}) == (Limit("fidelity.psnr", "max", 0.5),)
    with pytest.raises(SpecError, match="below 0"):
        limits_of(SearchSpec(constraints={"fidelity.psnr": -1.0}), {"fidelity.psnr": "max"})
    with pytest.raises(SpecError, match="needs the anchor `base`"):
        limits_of(SearchSpec(constraints={"fidelity.psnr": 1.0}, anchors=("naive",)), {"fidelity.psnr": "max"})
