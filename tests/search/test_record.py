"""What a running sweep books: the reference point once, the table always, the front as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.search.problems import Analytic, Told, experiment

from drivereplay.errors import DriveReplayError, ProtocolError
from drivereplay.search.candidates import TABLE, Candidate, CandidateTable
from drivereplay.search.constraints import Limit
from drivereplay.search.front import FILE, load_front
from drivereplay.search.record import SweepRecord
from drivereplay.search.trial import TrialRequest
from drivereplay.search.worker import TrialRecord
from drivereplay.spec import Spec
from drivereplay.storage import Storage

WAYS = ("min", "min")


def request(trial: str, kind: str = "trial", frequency: float = 0.5) -> TrialRequest:
    return TrialRequest(trial, kind, 0, {} if kind == "base" else {"replay.frequency": frequency}, trial)


def finish(spec: Spec, record: SweepRecord, asked: TrialRequest, runner: Analytic | None = None) -> None:
    directory = Storage.of(spec.storage).below(spec.name, "trials", asked.trial)
    TrialRecord(spec, runner or Analytic(), asked, directory, lambda candidate: True).run()
    record.trial_ended(asked)


def opened(spec: Spec, told: Told | None = None) -> SweepRecord:
    storage = Storage.of(spec.storage).below(spec.name)
    return SweepRecord(spec, WAYS, storage, ["base", "naive"], [told] if told else [])


def test_the_reference_is_fixed_once_base_and_naive_have_ended_and_never_moves(tmp_path: Path) -> None:
    spec, told = experiment(tmp_path), Told()
    record = opened(spec, told)
    record.start()
    finish(spec, record, request("t0000"))
    finish(spec, record, request("base", "base"))
    assert record.reference is None and told.volumes == [None, None]
    finish(spec, record, request("naive", "naive", 0.0))
    fixed = record.reference
    assert fixed is not None and told.volumes[-1] is not None
    finish(spec, record, request("t0001", frequency=0.1))
    record.end()
    assert opened(spec).reference == record.reference == fixed
    assert load_front(tmp_path / "probe").reference == fixed.point
    assert told.names == ["t0000@30", "base@0", "naive@30", "t0001@30"]


def test_without_base_the_other_anchor_serves_and_without_both_the_trials(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    record = opened(spec)
    finish(spec, record, request("base", "base"), Analytic({"base": "nan"}))
    finish(spec, record, request("naive", "naive", 0.0))
    assert record.reference is not None and "worse of naive" in record.reference.rule


def test_a_given_reference_holds_from_the_start(tmp_path: Path) -> None:
    spec = experiment(tmp_path, reference=[3.0, 4.0])
    record = opened(spec)
    record.start()
    assert record.reference is not None and record.reference.point == (3.0, 4.0)


def test_what_ended_under_an_earlier_driver_is_known(tmp_path: Path) -> None:
    spec = experiment(tmp_path, every=10)
    record = opened(spec)
    finish(spec, record, request("t0000"))
    finish(spec, record, request("t0001"), Analytic({"t0001": "nan"}))
    ended = opened(spec).already_ended()
    assert ended["t0000"].values == pytest.approx(Analytic().values(request("t0000").spec(spec), 30))
    assert [share for share, *_ in ended["t0000"].curve] == pytest.approx([1 / 3, 2 / 3, 1])
    assert ended["t0001"].values is None and ended["t0001"].curve == ()


def test_violations_do_not_depend_on_whether_the_base_ended_first(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    storage = Storage.of(spec.storage).below(spec.name)
    limits = [Limit("loss.motion", "min", 0.0), Limit("loss.looks", "min", 0.0), Limit("ego.ate", "min", 0.0)]
    record = SweepRecord(spec, WAYS, storage, ["base", "naive"], (), limits)
    finish(spec, record, request("t0000", frequency=0.1))
    assert record.worse_by("t0000") == ()
    finish(spec, record, request("base", "base"))
    motion, looks, lacking = record.worse_by("t0000")
    assert motion > 0 > looks and lacking == 1e9
    assert SweepRecord(spec, WAYS, storage, ["base", "naive"], (), limits).worse_by("t0000") == (motion, looks, 1e9)


def test_rows_of_an_attempt_with_other_values_are_let_go_of(tmp_path: Path) -> None:
    record = opened(experiment(tmp_path))
    asked = request("t0000", frequency=0.5)
    row = Candidate("t0000", 10, 0, "trial", {"replay.frequency": 0.1}, setting="t0000")
    record.evaluated(row)
    record.evaluated(replace(row, step=20, parameters={"replay.frequency": 0.5}))
    record.evaluated(replace(row, step=30, parameters={"replay.frequency": 0.5}, seed=4))
    record.evaluated(replace(row, step=40, status="finished"))
    record.evaluated(replace(row, trial="t0001"))
    assert record.begins(asked)
    assert [c.name for c in record.candidates] == ["t0000@20", "t0000@40", "t0001@10"]
    assert not record.begins(asked)


def test_a_trial_that_left_nothing_is_recorded_as_failed(tmp_path: Path) -> None:
    record = opened(experiment(tmp_path))
    ended = record.trial_ended(request("t0000"), lost="its process died")
    assert ended.values is None
    row = record.first_failure()
    assert row is not None and (row.trial, row.step, row.reason) == ("t0000", -1, "its process died")


def test_candidates_of_two_protocols_are_not_continued(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    record = opened(spec)
    finish(spec, record, request("t0000"))
    rows = CandidateTable(Storage.of(tmp_path / "probe"))
    rows.append([replace(rows.candidates[0], trial="t0009", protocol="another")])
    with pytest.raises(ProtocolError):
        opened(spec)


def test_what_another_driver_has_taken_over_is_not_written(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    storage = Storage.of(spec.storage).below(spec.name)
    lost = False

    def require() -> None:
        if lost:
            raise DriveReplayError("taken over")

    record = SweepRecord(spec, WAYS, storage, ["base", "naive"], require=require)
    record.start()
    finish(spec, record, request("base", "base"))
    record.flush()
    before = {name: storage.read(name) for name in (TABLE, FILE)}
    lost = True
    writes = [record.flush, record.end, lambda: finish(spec, record, request("t0000"))]
    for write in writes:
        with pytest.raises(DriveReplayError, match="taken over"):
            write()
    assert {name: storage.read(name) for name in before} == before
