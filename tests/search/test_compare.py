"""Two sweeps side by side, and the refusal to compare what cannot be compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivereplay.errors import ProtocolError, SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.compare import compare_fronts
from drivereplay.search.front import Front, Reference, front_of

NAMES = ("loss.looks", "loss.motion")


def front(*points: tuple[float, float], protocol: str = "p", corner: float = 4.0) -> Front:
    rows = [
        Candidate(
            f"t{i}", 10, 0, "trial", {}, {n: Estimate(v, v - 0.1, v + 0.1, 8) for n, v in zip(NAMES, p, strict=True)},
            protocol=protocol, status="finished", setting=f"t{i}",
        )
        for i, p in enumerate(points)
    ]  # fmt: skip
    return front_of(rows, NAMES, ("min", "min"), Reference((corner, corner), "given"))


def test_a_better_sweep_is_seen_as_such_from_both_sides() -> None:
    good, bad = front((1, 2), (2, 1)), front((2, 3), (3, 2), (1, 3), corner=5.0)
    found = compare_fronts(good, bad)
    assert found["reference"] == [5.0, 5.0]  # the worse of the two, so that neither is cut
    assert found["hypervolume"] == pytest.approx(15.0)
    assert found["other_hypervolume"] == pytest.approx(10.0)
    assert found["hypervolume_ratio"] == pytest.approx(1.5)
    assert (found["covers"], found["covered"]) == (1.0, 0.0)
    assert found["probability_larger"] == 1.0
    assert found["epsilon"] <= 0 < found["other_epsilon"]
    back = compare_fronts(bad, good)
    assert (back["hypervolume"], back["covers"]) == (found["other_hypervolume"], 0.0)
    assert back["probability_larger"] == 0.0


def test_equal_sweeps_are_a_toss_up() -> None:
    one = front((1, 2), (2, 1))
    found = compare_fronts(one, one)
    assert (found["hypervolume_ratio"], found["epsilon"]) == (1.0, 0.0)
    assert 0.4 < found["probability_larger"] < 0.6


def test_other_protocols_objectives_and_empty_fronts_are_refused() -> None:
    one = front((1, 2))
    with pytest.raises(ProtocolError, match="different protocols, p and q"):
        compare_fronts(one, front((1, 2), protocol="q"))
    with pytest.raises(SpecError, match="objectives differ"):
        compare_fronts(one, replace(one, objectives=("loss.looks", "loss.third")))
    with pytest.raises(SpecError, match="no front to compare"):
        compare_fronts(one, front())
