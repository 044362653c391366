"""The study's journal: Optuna and its dashboard read it, and a cut last line does no harm."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from pyarrow import fs

from drivereplay.errors import DriveReplayError
from drivereplay.search.journal import FILE, SEGMENTS, Journal, read_journal
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


@pytest.mark.parametrize(
    "line",
    [
        b'{"op_code": \n',
        b'{"op_code": 77}\n',
        b"[]\n",
        b"null\n",
        b'{"op_code": 5, "worker_id": "w", "trial_id": 0, "param_name": "x", "distribution": "{}"}\n',
    ],
)
def test_damage_in_the_middle_is_one_line_that_names_the_file(tmp_path: Path, line: bytes) -> None:
    filled(Storage.of(tmp_path))
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    lines[3] = line
    (tmp_path / FILE).write_bytes(b"".join(lines))
    with pytest.raises(DriveReplayError, match=rf"{FILE} is damaged: .+"):
        Journal(Storage.of(tmp_path)).storage()


@pytest.fixture
def remote(tmp_path: Path) -> Storage:
    """A filesystem that is not local by its type, as an object store."""
    (tmp_path / "run" / SEGMENTS).mkdir(parents=True)  # an object store knows no directories
    storage = Storage(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "run", "memory://run")
    assert storage.local is None
    return storage


def study_of(journal: Journal) -> optuna.Study:
    return optuna.create_study(
        storage=journal.storage(), study_name="s", directions=["minimize", "maximize"], load_if_exists=True
    )


def test_a_remote_journal_is_whole_when_it_was_closed(remote: Storage, tmp_path: Path) -> None:
    filled(remote)
    assert len(values(remote)) == 5
    assert remote.names(SEGMENTS) == []
    backend = JournalFileBackend(str(tmp_path / "run" / FILE))
    assert len(optuna.load_study(study_name="s", storage=JournalStorage(backend)).trials) == 5


@pytest.mark.parametrize("stop", [1, 5, 31, 32, 33, 70])
def test_a_remote_journal_that_was_never_closed_is_read_whole(remote: Storage, stop: int) -> None:
    journal = Journal(remote)
    study = study_of(journal)
    for n in range(stop):
        study.add_trial(optuna.trial.create_trial(values=[float(n), 0.0]))
        journal.sync()
    assert len(remote.names(SEGMENTS)) <= 33
    found = [value[0] for value in values(remote)]
    assert found == [float(n) for n in range(stop)]
    assert remote.names(SEGMENTS) == [], "the next driver joins them"


@pytest.mark.parametrize("kept", ["base", "segments", "both"])
def test_a_driver_killed_while_it_joined_or_merged_loses_nothing(remote: Storage, tmp_path: Path, kept: str) -> None:
    journal = Journal(remote)
    study = study_of(journal)
    for n in range(40):
        study.add_trial(optuna.trial.create_trial(values=[float(n), 0.0]))
        journal.sync()
    segments = {name: remote.read(f"{SEGMENTS}/{name}") for name in remote.names(SEGMENTS)}
    whole = read_journal(remote)
    if kept != "segments":
        remote.write(FILE, whole)
    if kept == "both":  # a merged segment beside those it was made of
        remote.write(f"{SEGMENTS}/{0:012d}-{len(whole):012d}", whole)
    for name, data in list(segments.items())[::2] if kept == "base" else segments.items():
        remote.write(f"{SEGMENTS}/{name}", data)
    assert read_journal(remote) == whole
    assert len(values(remote)) == 40


def test_a_suggestion_that_was_not_whole_does_not_come_back(remote: Storage) -> None:
    journal = Journal(remote)
    study = study_of(journal)
    study.add_trial(optuna.trial.create_trial(values=[1.0, 0.0]))
    journal.sync()
    before = read_journal(remote)
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
    journal.sync()
    again = Journal(remote)
    assert again.dropped > 0
    study_of(again).add_trial(optuna.trial.create_trial(values=[2.0, 0.0]))
    again.sync()
    text = read_journal(remote)
    assert text.startswith(before) and [value[0] for value in values(remote)] == [1.0, 2.0]


def test_what_is_uploaded_grows_with_what_is_new(remote: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded = 0
    write = Storage.write

    def counted(self: Storage, relative: str, data: bytes) -> None:
        nonlocal uploaded
        uploaded += len(data)
        write(self, relative, data)

    monkeypatch.setattr(Storage, "write", counted)
    journal = Journal(remote)
    study = study_of(journal)
    for n in range(400):
        study.add_trial(optuna.trial.create_trial(values=[float(n), 0.0]))
        journal.sync()
    journal.close()
    size = len(remote.read(FILE))
    # once as it comes, as often again as it has doubled beyond the first segments, and once when it is joined
    assert uploaded <= 8 * size, f"{uploaded / size:.1f} times; whole at each sync would be 200 times"
