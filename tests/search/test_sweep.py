"""Whole sweeps on a real Ray Tune, with trials whose results are known."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, Told, experiment

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.logs import LOGGER, JsonFormatter
from drivereplay.search.front import Front, load_front
from drivereplay.search.journal import Journal
from drivereplay.search.sweep import foresee, sweep
from drivereplay.search.worker import _log_structured
from drivereplay.spec import with_values
from drivereplay.storage import Storage


def essence(front: Front) -> list[tuple[Any, ...]]:
    """What two runs of the same seed share."""
    return sorted((c.name, c.status, str(c.parameters), c.values(front.objectives)) for c in front.candidates)


def states(directory: Path) -> dict[str, TrialState]:
    """Optuna's state of each trial in the journal."""
    storage = Journal(Storage.of(directory)).storage()
    (study,) = storage.get_all_studies()
    return {t.user_attrs["trial"]: t.state for t in storage.get_all_trials(study._study_id)}


def formatters() -> list[str]:
    """How this package's records are written out in this process."""
    return [type(handler.formatter).__name__ for handler in logging.getLogger(LOGGER).handlers]


class NotesFormatters(Analytic):
    """Leaves the process's formatters in the trial's directory."""

    def run(self, *arguments: Any) -> None:
        arguments[2].write("formatters.json", json.dumps(formatters()).encode())
        super().run(*arguments)


def test_a_sweep_runs_anchors_and_trials_and_leaves_its_files(ray_session: None, tmp_path: Path) -> None:
    told = Told()
    front = sweep(experiment(tmp_path), runner=NotesFormatters(), listeners=[told], show_progress=False)
    run = tmp_path / "probe"
    assert {c.kind for c in front.candidates} == {"base", "naive", "replay-only", "equal", "trial"}
    assert sum(c.kind == "trial" for c in front.candidates) == 6
    assert {c.status for c in front.candidates} == {"finished"}
    assert front.hypervolume is not None and front.hypervolume > 0
    assert front.knee in front.front
    assert sorted(p.name for p in run.iterdir()) == [
        ".driver", "candidates.parquet", "environment.json", "front.json", "spec.yaml", "study.journal", "trials",
    ]  # fmt: skip
    assert (run / "trials" / "t0003" / "spec.yaml").is_file()
    assert essence(load_front(run)) == essence(front)
    # listeners hear of each candidate once, and the hypervolume never falls
    assert sorted(told.names) == sorted(told.evaluated) == sorted(c.name for c in front.candidates)
    assert (told.begun, told.finished) == (1, 1)
    volumes = [v for v in told.volumes if v is not None]
    assert volumes == sorted(volumes)
    # anchors inside the space teach the sampler; base and ρ = 1 are outside it
    assert states(run) == dict.fromkeys(["naive", "equal", *(f"t{i:04d}" for i in range(6))], TrialState.COMPLETE)
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["optuna"] == optuna.__version__
    assert environment["seeds"] == {"experiment": 0, "evaluation": 0}
    # trials log JSON lines; a program that is no worker of Ray keeps its own logging
    assert json.loads((run / "trials" / "t0003" / "formatters.json").read_text()) == [JsonFormatter.__name__]
    before = formatters()
    _log_structured()
    assert formatters() == before


def test_the_same_seed_gives_the_same_candidates_and_another_one_others(ray_session: None, tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=8, concurrent=3)
    first = sweep(spec, runner=Analytic(), show_progress=False)
    # whichever trial ends first, with Ray or without
    again = sweep_locally(with_values(spec, {"name": "again"}), runner=Analytic())
    other = sweep_locally(with_values(spec, {"name": "other", "seed": 1}), runner=Analytic())
    assert essence(first) == essence(again)
    assert essence(first) != essence(other)


def test_bad_trials_are_recorded_never_on_the_front_and_never_left_running(ray_session: None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    faults = {"t0000": "nan", "t0001": "missing", "t0002": "raise", "t0003": "error", "t0004": "exit", "equal": "nan"}
    runner = Analytic({**faults, "t0005": "die-once"}, log)
    front = sweep(experiment(tmp_path), runner=runner, show_progress=False)
    bad = {c.trial: c.reason for c in front.candidates if c.status == "failed"}
    assert bad.keys() == faults.keys()
    assert bad["t0000"] == "objective loss.motion is nan"
    assert "does not hold the objective loss.motion" in bad["t0001"]
    assert bad["t0002"] == "ZeroDivisionError: a trial's own trouble"
    assert bad["t0003"] == "The clip a/b is broken. Remove it."
    assert "process died" in bad["t0004"]
    assert not {c.trial for c in front.front} & faults.keys()
    found = states(tmp_path / "probe")
    assert TrialState.RUNNING not in found.values()
    assert {name for name, state in found.items() if state == TrialState.FAIL} == {f"t000{i}" for i in range(5)}
    # what a trial raises is final; a process that dies gets two more attempts
    assert len(list(log.glob("t0002.*"))) == 1
    assert len(list(log.glob("t0004.*"))) == 3
    assert len(list(log.glob("t0005.*"))) == 2


def test_a_sweep_whose_trials_all_fail_ends_with_the_first_cause(ray_session: None, tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=50, concurrent=1)
    faults = dict.fromkeys(["base", "naive", "replay-only", "equal", *(f"t{i:04d}" for i in range(50))], "error")
    with pytest.raises(DriveReplayError, match=r"base first: The clip a/b is broken\. Remove it\."):
        sweep(spec, runner=Analytic(faults), show_progress=False)
    assert len(load_front(tmp_path / "probe").candidates) == 4


def test_every_evaluated_checkpoint_is_a_candidate(tmp_path: Path) -> None:
    front = sweep_locally(experiment(tmp_path, trials=2, every=10, steps=25), runner=Analytic())
    assert {c.name for c in front.candidates if c.trial == "t0000"} == {"t0000@10", "t0000@20", "t0000@25"}
    assert {c.step for c in front.candidates if c.kind == "base"} == {0}


def test_a_finished_sweep_is_neither_overwritten_nor_run_again(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=2)
    log = tmp_path / "log"
    log.mkdir()
    first = sweep_locally(spec, runner=Analytic(log=log))
    before = (tmp_path / "probe" / "candidates.parquet").read_bytes()
    with pytest.raises(SpecError, match="already holds a sweep"):
        sweep_locally(spec, runner=Analytic(log=log))
    again = sweep_locally(spec, resume=True, runner=Analytic(log=log))
    assert essence(again) == essence(first)
    assert (tmp_path / "probe" / "candidates.parquet").read_bytes() == before
    assert len(list(log.iterdir())) == 6


def test_a_finished_sweep_grows(ray_session: None, tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=2)
    log = tmp_path / "log"
    log.mkdir()
    sweep_locally(spec, runner=Analytic(log=log))
    more = sweep(with_values(spec, {"search.trials": 5}), resume=True, runner=Analytic(log=log), show_progress=False)
    assert sum(c.kind == "trial" for c in more.candidates) == 5
    assert len(list(log.iterdir())) == 9  # nothing ran twice


def test_what_cannot_be_compared_is_not_continued(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=1)
    sweep_locally(spec, runner=Analytic())
    with pytest.raises(SpecError, match="evaluation.clips was 64 and is 7"):
        sweep_locally(with_values(spec, {"evaluation.clips": 7}), resume=True, runner=Analytic())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.journal").write_bytes((tmp_path / "probe" / "study.journal").read_bytes())
    with pytest.raises(SpecError, match="not of the experiment 'other'"):
        sweep_locally(with_values(spec, {"name": "other"}), resume=True, runner=Analytic())


def test_a_dry_run_starts_nothing(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    seen = foresee(spec, Analytic())
    assert seen["trials"] == 10
    assert seen["optimiser steps in total"] == 9 * 30
    assert [t["trial"] for t in seen["first trials"]][:5] == ["base", "naive", "replay-only", "equal", "t0000"]
    assert not any(tmp_path.iterdir())
    assert all(math.isclose(sum(t["replay.weights"]), 1.0) for t in seen["first trials"] if "replay.weights" in t)
