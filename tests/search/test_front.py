"""The front equals brute force, moocore and Optuna; what has not finished is never on it."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume

from drivereplay.errors import DriveReplayError, ProtocolError, SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate, CandidateTable
from drivereplay.search.front import (
    Reference,
    front_of,
    hypervolume,
    knee_of,
    load_front,
    non_dominated,
    reference_of,
)
from drivereplay.storage import Storage

NAMES = ("loss.looks", "loss.motion", "loss.third")


def made(name: str, values: tuple[float, ...], **changes: Any) -> Candidate:
    metrics = {key: Estimate(v, v - 0.1, v + 0.1, 4) for key, v in zip(NAMES, values, strict=False)}
    return Candidate(**{"trial": name, "step": 10, "seed": 0, "kind": "trial", "parameters": {}, "metrics": metrics,
                        "protocol": "p", "status": "finished", **changes})  # fmt: skip


def points(objectives: int) -> st.SearchStrategy[list[tuple[float, ...]]]:
    # few different values, so that ties and duplicates happen
    value = st.integers(0, 6).map(float)
    return st.lists(st.tuples(*[value] * objectives), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 3).flatmap(points), st.data())
def test_front_and_hypervolume_equal_brute_force_moocore_and_optuna(rows: list[tuple[float, ...]], data: Any) -> None:
    m = len(rows[0])
    ways = data.draw(st.tuples(*[st.sampled_from(["min", "max"])] * m))
    sign = np.array([1.0 if way == "min" else -1.0 for way in ways])
    costs = np.array(rows) * sign
    brute = {i for i, a in enumerate(costs) if not any(np.all(b <= a) and np.any(b < a) for b in costs)}
    corner = np.array([7.0 if way == "min" else 1.0 for way in ways])
    front = front_of([made(f"t{i}", row) for i, row in enumerate(rows)], NAMES[:m], ways, Reference(tuple(corner), "x"))
    assert {int(c.trial[1:]) for c in front.front} == brute

    # cells of side 1: all coordinates are whole numbers
    reference = corner * sign
    inside = [c for c in costs if np.all(c < reference)]
    cells = 0
    if inside:
        low = np.min(inside, axis=0)
        grid = itertools.product(*[np.arange(a, b) for a, b in zip(low, reference, strict=True)])
        cells = sum(any(np.all(c <= cell) for c in inside) for cell in grid)
    assert front.hypervolume == pytest.approx(cells)
    assert front.hypervolume == pytest.approx(moocore.hypervolume(costs, ref=reference) if inside else 0.0)
    if inside:
        assert front.hypervolume == pytest.approx(compute_hypervolume(np.array(inside), reference))


def test_an_empty_set_has_an_empty_front() -> None:
    front = front_of([], NAMES[:2], ("min", "min"))
    assert (front.front, front.knee, front.hypervolume, front.recommendation) == ((), None, None, "")
    assert non_dominated(np.zeros((0, 2))).shape == (0,)
    assert hypervolume(np.zeros((0, 2)), (1.0, 1.0), ("min", "min")) == 0.0


@pytest.mark.parametrize(
    "changes",
    [{"status": "failed"}, {"status": "stopped"}, {"status": "running"}, {"metrics": {}}],
    ids=["failed", "stopped", "running", "missing"],
)
def test_what_has_not_finished_is_never_on_the_front(changes: dict[str, Any]) -> None:
    front = front_of([made("a", (1, 1)), made("b", (0, 0), **changes)], NAMES[:2], ("min", "min"))
    assert [c.trial for c in front.front] == ["a"]
    assert len(front.candidates) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_objectives_that_are_not_finite_are_never_on_the_front(bad: float) -> None:
    front = front_of([made("a", (1, 1)), made("b", (bad, 0))], NAMES[:2], ("min", "max"))
    assert [c.trial for c in front.front] == ["a"]


def test_figures_of_two_protocols_are_not_compared() -> None:
    with pytest.raises(ProtocolError, match=r"p \(a@10\), q \(b@10\)"):
        front_of([made("a", (1, 1)), made("b", (0, 0), protocol="q")], NAMES[:2], ("min", "min"))


def test_the_front_is_ordered_along_the_first_objective() -> None:
    rows = [(3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (3.0, 3.0)]
    front = front_of([made(f"t{i}", r) for i, r in enumerate(rows)], NAMES[:2], ("min", "min"))
    assert [c.trial for c in front.front] == ["t1", "t2", "t0"]
    up = front_of([made(f"t{i}", r) for i, r in enumerate(rows)], NAMES[:2], ("max", "min"))
    assert [c.trial for c in up.front] == ["t0"]


def test_the_knee_is_farthest_from_the_chord() -> None:
    assert knee_of(np.array([[0.0, 1.0], [0.2, 0.3], [0.7, 0.2], [1.0, 0.0]])) == 1
    # whatever the units
    assert knee_of(np.array([[0.0, 1e6], [0.002, 3e5], [0.007, 2e5], [0.01, 0.0]])) == 1
    # nothing below the chord: the nearest to the ideal point
    assert knee_of(np.array([[0.0, 1.0], [0.8, 0.8], [1.0, 0.0]])) in (0, 2)
    assert knee_of(np.array([[0.0, 1.0], [1.0, 0.0]])) == 0
    assert knee_of(np.array([[2.0, 3.0]])) == 0
    three = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0.3, 0.3, 0.3]], dtype=float)
    assert knee_of(three) == 3


def test_the_reference_is_the_worse_of_base_and_naive_moved_out() -> None:
    rows = [
        made("base", (10.0, 4.0), kind="base", step=0),
        made("naive", (5.0, 6.0), kind="naive", step=5),
        made("naive", (20.0, 8.0), kind="naive", step=10),
        made("t0", (1.0, 99.0)),
    ]
    found = reference_of(rows, NAMES[:2], ("max", "min"))
    assert found is not None
    assert found.point == pytest.approx((9.0, 8.4))
    assert "worse of base and naive" in found.rule
    assert reference_of(rows[3:], NAMES[:2], ("max", "min")) is None
    given_point = reference_of([], NAMES[:2], ("max", "min"), (1, 2))
    assert given_point is not None and given_point.point == (1.0, 2.0)


def test_the_history_of_the_hypervolume_never_falls_and_ends_at_the_front() -> None:
    generator = np.random.default_rng(0)
    rows = [made(f"t{i}", tuple(generator.random(2))) for i in range(20)]
    front = front_of(rows, NAMES[:2], ("min", "max"), Reference((1.0, 0.0), "x"))
    volumes = [volume for _, volume in front.history()]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(front.hypervolume)


def test_the_front_of_a_directory_is_computed_from_its_candidates(tmp_path: Path) -> None:
    storage = Storage.of(tmp_path)
    with pytest.raises(SpecError, match=r"no front\.json"):
        load_front(tmp_path)
    rows = [made("a", (1.0, 2.0), parameters={"replay.frequency": 0.3}), made("b", (2.0, 1.0))]
    CandidateTable(storage).append(rows)
    front_of(rows[:1], NAMES[:2], ("min", "min"), Reference((3.0, 3.0), "given")).save(storage)
    found = load_front(tmp_path)
    assert [c.name for c in found.front] == ["a@10", "b@10"]
    assert found.hypervolume == pytest.approx(3.0)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["reference"] == [3.0, 3.0]
    assert document["front"][0]["metrics"]["loss.looks"] == {"mean": 1.0, "low": 0.9, "high": 1.1, "n": 4}
    (tmp_path / "front.json").write_text('{"objectives"')
    with pytest.raises(DriveReplayError, match="not valid JSON"):
        load_front(tmp_path)
