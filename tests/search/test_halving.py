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
from drivereplay.search.halving import EVIDENCE, Halving, ranked

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


def taught(h: Halving, agree: bool = True) -> Halving:
    """Six trials, far worse than all others, that went from the first rung to the end."""
    for n in range(EVIDENCE):
        late = (100.0 + n, 100.0 - n) if agree else (100.0 - n, 100.0 + n)
        assert h.arrive(at(f"first{n}", 10, 100.0 + n, 100.0 - n))
        assert h.arrive(at(f"first{n}", 100, *late))
    return h


def test_the_best_third_goes_on_once_the_rung_is_known_to_predict() -> None:
    h = taught(halving())
    assert h.share(10) == pytest.approx(1 / 3) and h.share(30) == 1.0
    going = [h.arrive(at(f"t{n}", 10, 10.0 + n, 10.0 + n)) for n in range(12)]
    # 18 have arrived in the end; the best third, and a probe in nine of the others
    assert going[0] and 1 <= sum(going) <= 7 and not all(going[6:])
    assert h.arrive(at("t0", 20, 9.0, 9.0))  # no rung
    assert h.arrive(at("e", 10, float("nan"), 0.0))  # fails by itself
    assert h.arrive(replace(at("f", 10, 999.0, 999.0), variant="wise-ft-0.50"))


def test_a_rung_that_does_not_predict_stops_nothing() -> None:
    h = taught(halving(), agree=False)
    assert h.share(10) == 1.0
    assert all(h.arrive(at(f"t{n}", 10, 10.0 + n, 10.0 + n)) for n in range(30))
    # one objective that crosses is enough: damage that grows with the steps
    h = halving()
    for n in range(12):
        h.arrive(at(f"first{n}", 10, 1.0 + n, 1.0 + n))
        h.arrive(at(f"first{n}", 100, 1.0 + n, 9.0 - n))
    assert h.share(10) == 1.0


def test_without_a_reduction_the_share_follows_the_price_of_the_rung_and_its_error() -> None:
    def learnt(every: int, count: int, noise: float) -> float:
        h = Halving(1, None, NAMES, ("min", "min"), every, 100)
        rng = np.random.default_rng(0)
        for n in range(count):
            looks, motion = rng.random(2)
            h.arrive(at(f"t{n}", every, looks, motion))
            h.arrive(at(f"t{n}", 100, looks + noise * rng.normal(), motion + noise * rng.normal()))
        return h.share(every)

    # a first rung at half of a run leaves nothing to save; at a tenth with the next at 30 %, half of the trials go on
    assert learnt(50, 6, 0.0) == 1.0
    assert learnt(10, 6, 0.0) == pytest.approx(10 / 20)
    assert learnt(1, 6, 0.0) == pytest.approx(1 / 2)
    assert learnt(34, 6, 0.0) == pytest.approx(34 / 66)
    assert 0.51 < learnt(10, 60, 0.1) < 1.0 or learnt(10, 60, 0.1) == pytest.approx(0.5)


def test_anchors_teach_and_are_never_stopped() -> None:
    h = halving()
    for n in range(EVIDENCE):
        h.arrive(at(f"a{n}", 10, 1.0 + n, 1.0 + n, kind="equal"))
        h.arrive(at(f"a{n}", 100, 1.0 + n, 1.0 + n, kind="equal"))
    assert h.share(10) == pytest.approx(1 / 3)
    assert h.arrive(at("naive", 10, 999.0, 999.0, kind="naive"))


def test_a_stopped_trial_is_rescued_once_more_have_arrived() -> None:
    h = taught(halving(reduction=2.0))
    stopped = [f"t{n}" for n in range(12) if not h.arrive(at(f"t{n}", 10, 12.0 - n, 12.0 - n))]
    assert not stopped  # each was better than all before it
    stopped = [f"u{n}" for n in range(6) if not h.arrive(at(f"u{n}", 10, 20.0 + n, 20.0 + n))]
    assert stopped
    for n in range(20):
        h.arrive(at(f"w{n}", 10, 500.0, 500.0))
    name = h.rescued(set(stopped))
    assert name == stopped[0]
    assert h.arrive(at(name, 10, 20.0, 20.0))  # it repeats what is known and goes on
    assert h.rescued({name}) is None


def test_a_resumed_sweep_remembers_who_went_on() -> None:
    rows = [at(f"first{n}", step, 100.0 + n, 100.0 - n) for n in range(EVIDENCE) for step in (10, 100)]
    rows += [
        at("a", 10, 1.0, 1.0), at("a", 20, 1.0, 1.0), at("b", 10, 2.0, 2.0, status="stopped"),
        at("c", 10, 3.0, 3.0, status="stopped"), at("x", 10, 0.0, 0.0, status="failed"),
    ]  # fmt: skip
    h = halving(reduction=9.0)
    h.restore(rows)
    assert h.share(10) == pytest.approx(1 / 9)
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
    h = taught(halving(reduction=9.0))
    assert h.arrive(at("a", 10, 1.0, 1.0))
    assert not h.arrive(at("b", 10, 2.0, 2.0))
    h.forget("a")
    assert h.rescued({"b"}) == "b"  # the best of those that are left


def test_without_a_reduction_nothing_is_stopped_that_nothing_dominates() -> None:
    h = Halving(1, None, NAMES, ("min", "min"), 10, 600)
    for n in range(EVIDENCE):
        h.arrive(at(f"first{n}", 10, 100.0 + n, 100.0 + n))
        h.arrive(at(f"first{n}", 600, 100.0 + n, 100.0 + n))
    assert h.share(10) < 0.6
    assert all(h.arrive(at(f"t{n}", 10, float(n), 20.0 - n)) for n in range(20))
    assert not all(h.arrive(at(f"u{n}", 10, 30.0 + n, 30.0 + n)) for n in range(9))
