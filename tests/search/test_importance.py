"""What matters, and what is given up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, front_of
from drivereplay.search.importance import given_up, importance

NAMES = ("loss.looks", "loss.motion")


def row(trial: str, looks: float, motion: float, **parameters: object) -> Candidate:
    metrics = {n: Estimate(v, v, v, 1) for n, v in zip(NAMES, (looks, motion), strict=True)}
    return Candidate(trial, 10, 0, "trial", parameters, metrics, protocol="p", status="finished", setting=trial)


def front(rows: list[Candidate], ways: tuple[str, str] = ("min", "min")) -> Front:
    return front_of(rows, NAMES, ways)


def test_the_value_that_matters_is_found_for_each_objective() -> None:
    generator = np.random.default_rng(0)
    rows = []
    for i in range(80):
        rho, first = generator.random(2)
        setting = {"replay.frequency": float(rho), "replay.weights": [float(first), float(1 - first)],
                   "replay.layout": ["periodic", "burst"][i % 2], "training.steps": 10}  # fmt: skip
        rows.append(row(f"t{i}", rho, 0.05 * rho - first, **setting))
    found = importance(front(rows))
    known = {name: {key: v for key, v in shares.items() if v is not None} for name, shares in found.items()}
    assert max(known["loss.looks"], key=known["loss.looks"].__getitem__) == "replay.frequency"
    assert max(known["loss.motion"], key=known["loss.motion"].__getitem__).startswith("replay.weights.")
    assert sum(known["loss.looks"].values()) == pytest.approx(1.0)
    # it has nothing to do with looks
    assert found["loss.looks"]["replay.layout"] is None
    assert "training.steps" not in found["loss.looks"]  # it never varied
    assert importance(front(rows[:5])) == {}


def test_what_is_given_up_is_counted_from_the_best_in_the_own_unit() -> None:
    rows = [row("a", 20.0, 0.3), row("b", 22.0, 0.5), row("c", 19.0, 0.9)]
    found = {g["name"]: g for g in given_up(front(rows, ("max", "min")))}
    assert found == {
        "a@10": {"name": "a@10", "loss.looks": 2.0, "loss.motion": 0.0},
        "b@10": {"name": "b@10", "loss.looks": 0.0, "loss.motion": pytest.approx(0.2)},
    }
    assert given_up(front([])) == []


def test_anchors_without_weights_say_nothing_of_the_mix() -> None:
    """Only the mix matters here; ρ varies among anchors alone, which a sweep of one searched value has at its ends."""
    generator = np.random.default_rng(1)
    rows = [row(f"t{i}", first, -first, **{"replay.frequency": 0.3, "replay.weights": [float(first), float(1 - first)]})
            for i, first in enumerate(generator.random(40))]  # fmt: skip
    ends = [replace(row(kind, 5.0, -5.0, **{"replay.frequency": rho}), kind=kind)
            for kind, rho in (("naive", 0.0), ("replay-only", 1.0))]  # fmt: skip
    found = importance(front([*ends, *rows]))
    assert found["loss.looks"].keys() == {"replay.weights.0", "replay.weights.1"}
    assert all(share is not None for share in found["loss.looks"].values())


def test_noise_is_not_determined() -> None:
    generator = np.random.default_rng(3)
    rows = [row(f"t{i}", *generator.random(2), **{"replay.frequency": float(generator.random())}) for i in range(30)]
    assert importance(front(rows)) == {name: {"replay.frequency": None} for name in NAMES}
