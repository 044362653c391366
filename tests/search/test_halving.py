"""Who goes on at a rung: the best ranks, and within a rank the whole width of the front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.search.problems import experiment

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.halving import Halving, ranked

NAMES = ("loss.looks", "loss.motion")


def at(trial: str, step: int, looks: float, motion: float, **changes: str) -> Candidate:
    metrics = {name: Estimate(v, v, v, 1) for name, v in zip(NAMES, (looks, motion), strict=True)}
    row = Candidate(trial, step, 0, "trial", {}, metrics)
    return replace(row, **changes)  # type: ignore[arg-type]


def halving(grace: int = 1, reduction: float = 3.0, every: int = 10, steps: int = 100) -> Halving:
    return Halving(grace, reduction, NAMES, ("min", "min"), every, steps)


def test_rungs_are_in_steps_and_never_at_the_end() -> None:
    assert halving().rungs == (10, 30, 90)
    assert halving(grace=2, reduction=2).rungs == (20, 40, 80)
    assert halving(every=50).rungs == (50,)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
def test_nobody_ranks_before_who_dominates_him(rows: list[tuple[int, int]]) -> None:
    costs = np.array(rows, dtype=float)
    order = ranked(costs).tolist()
    assert sorted(order) == list(range(len(rows)))
    place = {i: n for n, i in enumerate(order)}
    for i, a in enumerate(costs):
        for j, b in enumerate(costs):
            if np.all(a <= b) and np.any(a < b):
                assert place[i] < place[j]


def test_within_a_rank_the_ends_come_before_the_neighbours() -> None:
    line = np.array([[x, 1 - x] for x in (0.0, 0.02, 0.5, 0.98, 1.0)])
    first_three = set(ranked(line)[:3].tolist())
    assert len(first_three & {0, 1}) == 1 and len(first_three & {3, 4}) == 1 and 2 in first_three


def test_the_best_third_goes_on() -> None:
    h = halving()
    assert h.arrive(at("a", 10, 1.0, 1.0))  # the first to arrive is the best so far
    assert not h.arrive(at("b", 10, 2.0, 2.0))
    assert not h.arrive(at("c", 10, 3.0, 3.0))
    assert h.arrive(at("d", 10, 0.5, 0.5))
    assert h.arrive(at("d", 20, 9.0, 9.0))  # no rung
    assert h.arrive(at("e", 10, float("nan"), 0.0))  # fails by itself
    assert h.arrive(replace(at("f", 10, 9.0, 9.0), variant="wise-ft-0.50"))


def test_a_stopped_trial_is_rescued_once_more_have_arrived() -> None:
    h = halving(reduction=2.0)
    assert h.arrive(at("a", 10, 1.0, 1.0))
    assert not h.arrive(at("b", 10, 2.0, 2.0))
    assert not h.arrive(at("c", 10, 3.0, 3.0)) or True
    stopped = {"b", "c"}
    while (name := h.rescued(stopped)) is not None:
        assert name == "b"
        stopped.discard(name)
        assert h.arrive(at(name, 10, 2.0, 2.0))  # it repeats what is known and goes on
    assert h.rescued({"c"}) is None


def test_a_resumed_sweep_remembers_who_went_on() -> None:
    rows = [
        at("a", 10, 1.0, 1.0), at("a", 20, 1.0, 1.0), at("b", 10, 2.0, 2.0, status="stopped"),
        at("c", 10, 3.0, 3.0, status="stopped"), at("x", 10, 0.0, 0.0, status="failed"),
    ]  # fmt: skip
    h = halving()
    h.restore(rows)
    assert h.rescued({"b", "c"}) is None
    assert not h.arrive(at("d", 10, 2.5, 2.5))
    assert h.arrive(at("e", 10, 0.5, 0.5))


def test_a_scheduler_without_evaluations_on_the_way_is_refused(tmp_path: Path) -> None:
    assert Halving.of(experiment(tmp_path), ("min", "min")) is None
    asked = {"scheduler": {"grace": 1, "reduction": 3.0}}
    with pytest.raises(SpecError, match="no trial could be stopped"):
        Halving.of(experiment(tmp_path, **asked), ("min", "min"))
    with pytest.raises(SpecError, match="no trial could be stopped"):
        Halving.of(experiment(tmp_path, every=30, **asked), ("min", "min"))
    found = Halving.of(experiment(tmp_path, every=5, **asked), ("min", "min"))
    assert found is not None and found.rungs == (5, 15)


def test_a_trial_that_is_begun_anew_has_never_arrived() -> None:
    h = halving()
    assert h.arrive(at("a", 10, 1.0, 1.0))
    h.forget("a")
    assert h.arrive(at("b", 10, 2.0, 2.0))  # again the first to arrive
    assert not h.arrive(at("a", 10, 3.0, 3.0))
