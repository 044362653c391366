"""The study's journal: Optuna and its dashboard read it, and a cut last line does no harm."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pyarrow import fs

from drivereplay.errors import DriveReplayError
from drivereplay.search.journal import FILE, Journal
from drivereplay.storage import Storage


def filled(storage: Storage, trials: int = 5) -> Journal:
    journal = Journal(storage)
    study = optuna.create_study(storage=journal.storage(), study_name="s", directions=["minimize", "maximize"])
    for _ in range(trials):
        trial = study.ask()
        x = trial.suggest_float("x", 0, 1)
        study.tell(trial, [x, 1 - x])
    journal.close()
    return journal


def values(storage: Storage) -> list[list[float]]:
    study = optuna.load_study(storage=Journal(storage).storage(), study_name="s")
    return [t.values for t in study.get_trials() if t.values]


def test_optuna_reads_the_file_with_its_own_backend(tmp_path: Path) -> None:
    filled(Storage.of(tmp_path))
    study = optuna.load_study(study_name="s", storage=JournalStorage(JournalFileBackend(str(tmp_path / FILE))))
    assert [t.values for t in study.get_trials()] == values(Storage.of(tmp_path))
    assert len(study.trials) == 5


def test_a_cut_at_any_byte_of_the_end_is_tolerated_and_writing_goes_on(tmp_path: Path) -> None:
    storage = Storage.of(tmp_path)
    filled(storage)
    whole = (tmp_path / FILE).read_bytes()
    known = values(storage)
    last_line = len(whole) - (whole[:-1].rfind(b"\n") + 1)
    for cut in (1, 2, 7, last_line - 1, last_line, last_line + 1, last_line + 30):
        (tmp_path / FILE).write_bytes(whole[:-cut])
        journal = Journal(storage)
        assert journal.dropped == len(whole) - cut - (whole[:-cut].rfind(b"\n") + 1)
        study = optuna.load_study(storage=journal.storage(), study_name="s")
        found = [t.values for t in study.get_trials() if t.values]
        assert found == known[: len(found)] and len(found) >= 3
        study.add_trial(optuna.trial.create_trial(values=[0.0, 0.0]))
        journal.close()
        assert values(storage)[-1] == [0.0, 0.0]


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    filled(Storage.of(tmp_path))
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    lines[3] = b'{"op_code": \n'
    (tmp_path / FILE).write_bytes(b"".join(lines))
    with pytest.raises(DriveReplayError, match="damaged in the middle"):
        Journal(Storage.of(tmp_path))


def test_a_remote_filesystem_gets_the_whole_file_at_sync(tmp_path: Path) -> None:
    # a filesystem that is not local by its type, as an object store
    (tmp_path / "run").mkdir()
    remote = Storage(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "run", "memory://run")
    assert remote.local is None
    filled(remote)
    assert len(values(remote)) == 5
