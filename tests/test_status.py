"""How a run stands, from its files alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate, CandidateTable, write_trial_candidates
from drivereplay.spec import Spec, parse_spec
from drivereplay.status import status
from drivereplay.storage import Storage


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return parse_spec(
        {
            "name": "sweep",
            "storage": str(tmp_path),
            "target": {"name": "driving", "source": {"kind": "world", "world": "highway", "clips": 8}},
            "replay": {
                "frequency": 0.5,
                "domains": [{"name": "shapes", "source": {"kind": "world", "world": "shapes", "clips": 8}}],
            },
            "training": {"steps": 100, "batch_size": 4},
            "search": {"trials": 3, "space": {"replay.frequency": {"uniform": [0, 1]}}, "anchors": ["base", "naive"]},
        }
    )


@pytest.fixture
def run(spec: Spec, tmp_path: Path) -> Storage:
    """Base and naive done, one failed, one in the middle, one not begun: five trials."""
    storage = Storage.of(tmp_path / "sweep")
    storage.write("spec.yaml", spec.to_yaml().encode())
    storage.write("environment.json", json.dumps({"search": {"concurrent": 2}}).encode())
    metrics = {name: Estimate(1.0, 0.9, 1.1, 8) for name in spec.search.objectives}
    base = Candidate("base", 0, 0, "base", {}, metrics, {"total_s": 5.0, "device_hours": 0.001}, "p", "finished")
    naive = Candidate("naive", 100, 0, "naive", {}, metrics, {"total_s": 60.0, "device_hours": 0.02}, "p", "finished")
    bad = Candidate("t0000", -1, 0, "trial", {}, status="failed", reason="loss is nan at step 7")
    CandidateTable(storage).append([base, naive, bad])
    for row in (base, naive, bad):
        write_trial_candidates(storage.below("trials", row.trial), [row])
    half = replace(naive, trial="t0001", kind="trial", step=50, status="running", cost={"total_s": 30.0})
    write_trial_candidates(storage.below("trials", "t0001"), [half])
    return storage


def test_an_unfinished_sweep(run: Storage) -> None:
    found = status(run.uri)
    assert found["state"] == "unfinished"
    assert found["trials"] == "3 of 5 ended, 1 failed, 2 finished"
    assert found["open"] == {"t0001": "50/100"}
    assert found["failures"] == {"t0000": "loss is nan at step 7"}
    # one and a half trials of a minute, two at a time
    assert found["time to go"] == "45 s"
    assert found["cost"]["total_s"] == pytest.approx(95.0)
    assert found["cost"]["device_hours"] == pytest.approx(0.021)
    assert found["last sign of life"].endswith(" s ago")
    assert json.loads(json.dumps(found)) == found


def test_a_trial_that_the_driver_has_not_heard_of_counts(run: Storage, spec: Spec) -> None:
    metrics = {name: Estimate(1.0, 0.9, 1.1, 8) for name in spec.search.objectives}
    for trial in ("t0001", "t0002"):
        row = Candidate(trial, 100, 0, "trial", {}, metrics, {"total_s": 60.0}, "p", "finished")
        write_trial_candidates(run.below("trials", trial), [row])
    found = status(run.uri)
    assert found["state"] == "finished" and found["open"] == {}
    assert found["time to go"] == "0 s"


def test_nothing_is_written(run: Storage) -> None:
    root = Path(run.root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    status(run.uri)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_single_run(spec: Spec, tmp_path: Path) -> None:
    storage = Storage.of(tmp_path / "sweep")
    storage.write("spec.yaml", spec.to_yaml().encode())
    storage.below("trials", "run").write("spec.yaml", spec.to_yaml().encode())
    found = status(tmp_path / "sweep")
    assert found["trials"] == "0 of 1 ended" and found["open"] == {"run": "0/100"}
    assert found["time to go"] == "not known"


def test_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="There is no run in"):
        status(tmp_path)
