"""The table of candidates: each name once, whole files only, complete after a kill."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from drivereplay.errors import DriveReplayError
from drivereplay.evaluation.draws import ClipFigures
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import (
    OF_TRIAL,
    TABLE,
    Candidate,
    CandidateTable,
    Status,
    trial_candidates,
    write_trial_candidates,
)
from drivereplay.storage import Storage

ROW = Candidate(
    trial="t0000",
    step=20,
    seed=3,
    kind="trial",
    parameters={"replay.frequency": 0.25, "replay.weights": [0.5, 0.5], "replay.layout": "burst"},
    metrics={"fidelity.psnr": Estimate(20.5, 20.0, 21.0, 8), "agents.ade": Estimate(0.1, math.nan, math.nan, 1)},
    cost={"train_s": 12.5},
    protocol="abc",
    status="finished",
    setting="t0000",
    checkpoint="trials/t0000/checkpoints/step-20",
)


def same(a: Candidate, b: Candidate) -> bool:
    """Equal, where NaN equals NaN."""
    return repr(a) == repr(b)


def test_candidates_survive_the_file_and_json(tmp_path: Path) -> None:
    other = replace(ROW, trial="t0001", metrics={"fidelity.psnr": Estimate(19.0, 18.0, 20.0, 8)}, cost={})
    CandidateTable(Storage.of(tmp_path)).append([ROW, other])
    found = CandidateTable.read(Storage.of(tmp_path))
    assert [same(a, b) for a, b in zip(found, (ROW, other), strict=True)] == [True, True]
    assert same(Candidate.from_json(ROW.to_json()), ROW)
    assert ROW.name == "t0000@20"
    assert replace(ROW, variant="wise-ft 0.5").name == "t0000@20+wise-ft 0.5"


def test_figures_clip_by_clip_survive_too(tmp_path: Path) -> None:
    units = (("drive/a", "drive/a@0"), ("drive/a", "drive/a@1"), ("drive/b", "drive/b@0"))
    figures = {"fidelity.psnr": ClipFigures(20.5, np.array([20.0, math.nan, 21.0]), units)}
    row = replace(ROW, figures=figures)
    table = CandidateTable(Storage.of(tmp_path))
    table.append([ROW])
    table.append([row])  # they come with the trial's end
    table.append([replace(row, trial="t0001"), replace(ROW, trial="t0002")])
    write_trial_candidates(Storage.of(tmp_path), [row])
    first, second, without = CandidateTable.read(Storage.of(tmp_path))
    assert first.figures == figures == trial_candidates(Storage.of(tmp_path))[0].figures
    assert second.figures["fidelity.psnr"].units is first.figures["fidelity.psnr"].units
    assert without.figures == {}
    assert "figures" not in row.to_json()


def test_any_parquet_reader_finds_one_column_per_figure(tmp_path: Path) -> None:
    CandidateTable(Storage.of(tmp_path)).append([ROW])
    row = pq.read_table(tmp_path / TABLE).to_pylist()[0]
    assert row["fidelity.psnr"] == 20.5
    assert (row["fidelity.psnr.low"], row["fidelity.psnr.high"], row["fidelity.psnr.n"]) == (20.0, 21.0, 8)
    assert (row["trial"], row["step"], row["status"], row["cost.train_s"]) == ("t0000", 20, "finished", 12.5)


def test_a_name_is_there_once_and_its_status_may_change(tmp_path: Path) -> None:
    table = CandidateTable(Storage.of(tmp_path))
    table.append([replace(ROW, status="running"), replace(ROW, step=40, status="running")])
    table.append([replace(ROW, status="running")])
    assert len(table.candidates) == 2
    settled = table.settle("t0000", "stopped", "too slow")
    assert {(row.step, row.status, row.reason) for row in settled} == {
        (20, "stopped", "too slow"),
        (40, "stopped", "too slow"),
    }
    assert {row.status for row in CandidateTable.read(Storage.of(tmp_path))} == {"stopped"}


def test_a_lazy_table_waits_and_flush_writes(tmp_path: Path) -> None:
    table = CandidateTable(Storage.of(tmp_path), lazy=True)
    table.append([ROW])
    table._write_s = 1e9  # as if rewriting took very long
    table.append([replace(ROW, trial="t0001")])
    assert len(CandidateTable.read(Storage.of(tmp_path))) == 1
    assert len(table.candidates) == 2
    table.flush()
    assert len(CandidateTable.read(Storage.of(tmp_path))) == 2


def test_what_trials_wrote_completes_the_table(tmp_path: Path) -> None:
    storage = Storage.of(tmp_path)
    CandidateTable(storage).append([replace(ROW, status="running"), replace(ROW, trial="t0009")])
    write_trial_candidates(storage.below("trials", "t0000"), [ROW, replace(ROW, step=40)])
    # the table knows better than a worker that had not heard of its end
    write_trial_candidates(storage.below("trials", "t0009"), [replace(ROW, trial="t0009", status="running")])
    table = CandidateTable(storage)
    assert table.recover() == 2
    assert {(row.name, row.status) for row in table.candidates} == {
        ("t0000@20", "finished"),
        ("t0000@40", "finished"),
        ("t0009@20", "finished"),
    }
    assert table.recover() == 0


@pytest.mark.parametrize("ended", ["finished", "failed"])
def test_a_stopped_trial_that_went_on_is_taken_up_whole(tmp_path: Path, ended: Status) -> None:
    storage = Storage.of(tmp_path)
    stopped = replace(ROW, status="stopped", reason="stopped early")
    CandidateTable(storage).append([stopped, replace(stopped, trial="t0001"), replace(ROW, trial="t0002")])
    rest = replace(ROW, step=40, status=ended)
    write_trial_candidates(storage.below("trials", "t0000"), [replace(ROW, status=ended), rest])
    # of this one its worker has not written the end
    write_trial_candidates(storage.below("trials", "t0001"), [replace(ROW, trial="t0001", status="running")])
    write_trial_candidates(storage.below("trials", "t0002"), [replace(ROW, trial="t0002", status="stopped")])
    table = CandidateTable(storage)
    assert table.recover() == 2
    assert [row.status for row in table.of_trial("t0000")] == [ended, ended]
    assert table.of_trial("t0000")[0].reason == ""
    assert [table.of_trial(trial)[0].status for trial in ("t0001", "t0002")] == ["stopped", "finished"]


def test_what_is_forgotten_is_gone_from_the_file_too(tmp_path: Path) -> None:
    table = CandidateTable(Storage.of(tmp_path))
    table.append([ROW, replace(ROW, step=40)])
    table.forget([ROW])
    table.flush()
    assert [row.name for row in table.of_trial("t0000")] == ["t0000@40"]
    assert [row.name for row in CandidateTable.read(Storage.of(tmp_path))] == ["t0000@40"]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_bytes(b"PAR1 this is no table")
    with pytest.raises(DriveReplayError, match=r"candidates\.parquet cannot be read"):
        CandidateTable(Storage.of(tmp_path))
    for content in ("[{", "null", '{"a": [1]}', '[{"metrics": {"m": {"mean": 1}}, "cost": {}, "parameters": {}}]'):
        (tmp_path / OF_TRIAL).write_text(content)
        with pytest.raises(DriveReplayError, match=r"candidates\.json does not hold what a trial writes"):
            trial_candidates(Storage.of(tmp_path))


@pytest.mark.parametrize("position", np.linspace(0.02, 0.98, 25))
def test_a_bit_that_changed_in_the_table_is_never_read_as_a_figure(tmp_path: Path, position: float) -> None:
    storage = Storage.of(tmp_path)
    CandidateTable(storage).append([replace(ROW, trial=f"t{n:04d}") for n in range(20)])
    before = CandidateTable.read(storage)
    data = bytearray((tmp_path / TABLE).read_bytes())
    data[int(position * len(data))] ^= 16
    (tmp_path / TABLE).write_bytes(data)
    try:
        after = CandidateTable.read(storage)
    except DriveReplayError as error:
        assert TABLE in str(error)
    else:
        assert all(same(a, b) for a, b in zip(before, after, strict=True))
