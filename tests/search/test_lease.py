"""One driver at a time, and a dead one is no obstacle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from drivereplay.errors import SpecError
from drivereplay.search import lease
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


def test_a_driver_that_was_taken_for_dead_does_not_take_the_lease_back(storage: Storage) -> None:
    class Once(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            done = self.is_set()
            self.set()
            return done

    storage.write(FILE, json.dumps({"token": "theirs"}).encode())
    lease._keep(storage, {"token": "mine"}, Once())
    assert json.loads(storage.read(FILE)) == {"token": "theirs"}
    storage.write(FILE, json.dumps({"token": "mine"}).encode())
    lease._keep(storage, {"token": "mine"}, Once())
    assert json.loads(storage.read(FILE))["beat"] > 0


def test_a_damaged_file_is_nobodys(storage: Storage) -> None:
    storage.write(FILE, b"{")
    with only_driver(storage, "sweep"):
        pass
