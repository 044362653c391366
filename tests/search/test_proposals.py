"""Verification runs: proposed once, booked when run, and the same after a restart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.search.problems import Analytic, experiment

from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
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
