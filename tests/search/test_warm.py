"""Warm start: the study learns from an earlier sweep of the same protocol, and from no other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import optuna
import pytest
from tests.search.problems import experiment

from drivereplay.errors import ProtocolError, SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate, CandidateTable
from drivereplay.search.front import front_of
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions
from drivereplay.search.warm import warm_start
from drivereplay.storage import Storage

NAMES = ("loss.looks", "loss.motion")


def earlier(directory: Path) -> None:
    def row(trial: str, step: int, frequency: float, **changes: str) -> Candidate:
        metrics = {name: Estimate(frequency + step, 0.0, 1.0, 1) for name in NAMES}
        setting = {"replay.frequency": frequency, "replay.weights": [0.2, 0.3, 0.5]}
        return Candidate(
            trial, step, 0, changes.get("kind", "trial"), setting, metrics, protocol="p",
            status=changes.get("status", "finished"), setting=trial,  # type: ignore[arg-type]
        )  # fmt: skip

    rows = [row("base", 0, 0.0, kind="base"), row("t0", 10, 0.2), row("t0", 20, 0.2), row("t1", 20, 0.9),
            row("t2", 20, 0.3, status="failed")]  # fmt: skip
    CandidateTable(Storage.of(directory)).append(rows)
    front_of(rows, NAMES, ("min", "min")).save(Storage.of(directory))


def test_the_last_checkpoint_of_each_finished_trial_inside_the_space_is_told(tmp_path: Path) -> None:
    earlier(tmp_path / "old")
    spec = experiment(tmp_path, warm_start=str(tmp_path / "old"))
    study = optuna.create_study(directions=["minimize", "minimize"])
    suggestions = Suggestions(study, Space.of(spec), spec)
    warm = partial(warm_start, suggestions, spec=spec)
    with pytest.raises(ProtocolError, match="judged by protocol p, this one by q"):
        warm(protocol=lambda: "q")
    assert not study.trials
    warm(protocol=lambda: "p")
    warm(protocol=lambda: "p")  # a resume does it again
    assert [(t.user_attrs["trial"], t.values) for t in study.trials] == [("warm-t0", [20.2, 20.2])]


def test_a_place_without_a_sweep_or_with_other_objectives_is_refused(tmp_path: Path) -> None:
    spec = experiment(tmp_path, warm_start=str(tmp_path / "none"))
    study = optuna.create_study(directions=["minimize", "minimize"])
    suggestions = Suggestions(study, Space.of(spec), spec)
    with pytest.raises(SpecError, match=r"no front\.json"):
        warm_start(suggestions, spec=spec, protocol=lambda: "p")
    earlier(tmp_path / "old")
    other = experiment(tmp_path, warm_start=str(tmp_path / "old"), objectives=["loss.looks", "loss.third"])
    with pytest.raises(SpecError, match=r"had the objectives loss\.looks, loss\.motion"):
        warm_start(suggestions, spec=other, protocol=lambda: "p")
