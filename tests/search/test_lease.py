"""One driver at a time, and a dead one is no obstacle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.search import lease
from drivereplay.search.journal import Journal
from drivereplay.search.lease import FILE, only_driver
from drivereplay.storage import Storage

HOLD = """
import sys, threading
from drivereplay.search.lease import only_driver
from drivereplay.storage import Storage
with only_driver(Storage.of(sys.argv[1]), "sweep"):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path / "run")


def other_driver(storage: Storage) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, storage.uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_it_is_given_back(storage: Storage) -> None:
    for _ in range(2):
        with only_driver(storage, "sweep"):
            assert storage.exists(FILE)
        assert not storage.exists(FILE)


def test_a_second_driver_is_refused_while_the_first_lives_and_takes_over_when_it_was_killed(storage: Storage) -> None:
    process = other_driver(storage)
    try:
        with pytest.raises(SpecError, match=f"process {process.pid} on"), only_driver(storage, "sweep"):
            pass
        assert json.loads(storage.read(FILE))["pid"] == process.pid
    finally:
        process.kill()
        process.wait()
    assert storage.exists(FILE)
    with only_driver(storage, "sweep"):
        assert json.loads(storage.read(FILE))["pid"] != process.pid


def test_a_number_that_another_process_has_now_is_not_the_driver(storage: Storage) -> None:
    with only_driver(storage, "sweep"):
        left = json.loads(storage.read(FILE))
    # this very process, but born at another time
    storage.write(FILE, json.dumps({**left, "born": f"{left['born']}1"}).encode())
    with only_driver(storage, "sweep"):
        pass


def test_another_machine_is_believed_as_long_as_it_gives_signs_of_life(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = iter(range(1000))

    def beat() -> None:
        storage.write(FILE, json.dumps({"host": "elsewhere", "pid": 1, "born": "b", "beat": next(beats)}).encode())

    beat()
    monkeypatch.setattr(lease.time, "sleep", lambda _: beat())
    with pytest.raises(SpecError, match="elsewhere"), only_driver(storage, "sweep"):
        pass
    # and no longer
    moments = iter(range(0, 10_000, 7))
    monkeypatch.setattr(lease.time, "sleep", lambda _: None)
    monkeypatch.setattr(lease.time, "monotonic", lambda: next(moments))
    with only_driver(storage, "sweep"):
        assert json.loads(storage.read(FILE))["host"] != "elsewhere"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the drivers of a test believe to have gone by."""
    now = [1000.0]
    monkeypatch.setattr(lease, "_clock_s", lambda: now[0])
    return now


def test_a_driver_that_was_stopped_for_long_writes_nothing_more(storage: Storage, clock: list[float]) -> None:
    with only_driver(storage, "sweep") as held:
        journal = Journal(storage, held.require)
        journal.append_logs([{"op_code": 0}])
        clock[0] += 3600.0
        storage.write(FILE, json.dumps({"token": "theirs"}).encode())
        for write in (lambda: journal.append_logs([{"op_code": 1}]), journal.sync, journal.close, held.require):
            with pytest.raises(DriveReplayError, match="taken over"):
                write()
        # nor does it take the lease back, whatever comes later
        held.renew()
        assert json.loads(storage.read(FILE)) == {"token": "theirs"}
        storage.delete(FILE)
        held.renew()
        assert not storage.exists(FILE)
    assert len(storage.read("study.journal").splitlines()) == 1


def test_a_driver_that_was_stopped_and_nobody_came_goes_on(storage: Storage, clock: list[float]) -> None:
    with only_driver(storage, "sweep") as held:
        before = storage.read(FILE)
        clock[0] += 3600.0
        held.require()
        held.renew()
        assert storage.read(FILE) != before


def test_what_has_just_been_confirmed_is_not_asked_again(storage: Storage, clock: list[float]) -> None:
    """There are ten records to a suggestion, and storage may be far away."""
    with only_driver(storage, "sweep") as held:
        storage.write(FILE, json.dumps({"token": "theirs"}).encode())
        clock[0] += 15.0
        held.require()
        clock[0] += 60.0
        with pytest.raises(DriveReplayError, match="taken over"):
            held.require()


def test_signs_of_life_go_on_when_the_storage_was_away(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = 0

    class Thrice(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal beats
            beats += 1
            return beats > 3

    class Held:
        renewed = 0

        def renew(self) -> None:
            self.renewed += 1
            if self.renewed == 1:
                raise OSError("away")

    held = Held()
    lease._keep(held, Thrice())  # type: ignore[arg-type]
    assert held.renewed == 3


def test_a_damaged_file_is_nobodys(storage: Storage) -> None:
    storage.write(FILE, b"{")
    with only_driver(storage, "sweep"):
        pass
