"""Verification runs: proposed once, booked when run, and the same after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.search.problems import Analytic, experiment

from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit
from drivereplay.search.proposals import FILE, Proposals
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage


def row(spec: Spec, trial: str, setting: dict[str, object]) -> Candidate:
    values = Analytic().values(with_values(spec, setting), 30)
    metrics = {n: Estimate(v, v, v, 1) for n, v in zip(spec.search.objectives, values, strict=True)}
    return Candidate(trial, 30, 0, "trial", setting, metrics, protocol="p", status="finished", setting=trial)


def test_a_proposal_is_made_once_and_its_error_is_booked(tmp_path: Path) -> None:
    spec = experiment(tmp_path, proposals=1)
    generator = np.random.default_rng(0)
    rows = [
        row(spec, f"t{i}", {"replay.frequency": float(generator.random()), "replay.weights": w.tolist()})
        for i, w in enumerate(generator.dirichlet(np.ones(3), 12))
    ]
    storage = Storage.of(tmp_path)
    (request,) = Proposals(spec, ("min", "min"), storage).next(rows, 0)
    assert (request.trial, request.kind) == ("p0000", "proposal")
    # a driver that was killed meanwhile proposes the same
    assert Proposals(spec, ("min", "min"), storage).next(rows, 0) == [request]
    again = Proposals(spec, ("min", "min"), storage)
    assert again.next([*rows, row(spec, "p0000", dict(request.parameters))], 1) == []
    (told,) = json.loads((tmp_path / FILE).read_text())["proposals"]
    assert told["error"].keys() == set(spec.search.objectives)
    assert all(abs(error) < 0.3 for error in told["error"].values())


def test_proposals_stay_in_the_space_and_within_the_constraints(tmp_path: Path) -> None:
    space = {
        "replay.frequency": {"uniform": [0.0, 0.1]},
        "replay.weights": {"simplex": {"least": {"b": 0.2}}},
        "training.warmup": {"int": [0, 9]},
    }
    spec = experiment(tmp_path, proposals=3, space=space)
    generator = np.random.default_rng(0)
    rows = [
        row(spec, f"t{i}", {"replay.frequency": float(0.1 * generator.random()), "replay.weights": w.tolist()})
        for i, w in enumerate(generator.dirichlet(np.ones(3), 12))
    ]
    # motion must not be worse than in the middle of what was found: with too little replay it is
    middle = float(np.median([c.metrics["loss.motion"].mean for c in rows]))
    figures = {"loss.motion": Estimate(middle, middle, middle, 1)}
    base = Candidate("base", 0, 0, "base", {}, figures, protocol="p", status="finished")
    limits = [Limit("loss.motion", "min", 0.0)]
    proposals = Proposals(spec, ("min", "min"), Storage.of(tmp_path), limits, lambda: [base, *rows])
    for number in range(3):
        (request,) = proposals.next(rows, number)
        setting = dict(request.parameters)
        assert 0 <= setting["replay.frequency"] <= 0.1 and setting["replay.weights"][1] >= 0.2
        assert 0 <= setting["training.warmup"] <= 9
        rows.append(row(spec, request.trial, setting))
        assert rows[-1].metrics["loss.motion"].mean <= middle + 1e-3
