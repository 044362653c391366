"""One driver at a time, and a dead one is no obstacle."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.s3 import S3Server

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.search import lease
from drivereplay.search.journal import Journal
from drivereplay.search.lease import FOLDER, only_driver
from drivereplay.storage import Storage

HOLD = """
import sys, threading
from drivereplay.search import lease
from drivereplay.search.lease import only_driver
from drivereplay.storage import Storage
lease.RENEWED_S = 1.0
with only_driver(Storage.of(sys.argv[1]), "sweep"):
    print("held", flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.of(tmp_path / "run")


def claims(storage: Storage) -> dict[str, dict[str, Any]]:
    return {name: json.loads(storage.read(f"{FOLDER}/{name}")) for name in storage.names(FOLDER)}


def only_claim(storage: Storage) -> dict[str, Any]:
    (claim,) = claims(storage).values()
    return claim


def write_claim(storage: Storage, claim: dict[str, Any], name: str = "theirs") -> None:
    storage.write(f"{FOLDER}/{name}.json", json.dumps(claim).encode())


def other_driver(storage: Storage, *prefix: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([*prefix, sys.executable, "-c", HOLD, storage.uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_it_is_given_back(storage: Storage) -> None:
    for _ in range(2):
        with only_driver(storage, "sweep"):
            assert only_claim(storage)["held"]
        assert not claims(storage)


def test_a_second_driver_is_refused_while_the_first_lives_and_takes_over_when_it_was_killed(storage: Storage) -> None:
    process = other_driver(storage)
    try:
        with pytest.raises(SpecError, match=f"process {process.pid} on"), only_driver(storage, "sweep"):
            pass
        assert only_claim(storage)["pid"] == process.pid
    finally:
        process.kill()
        process.wait()
    with only_driver(storage, "sweep"):
        assert only_claim(storage)["pid"] != process.pid


def test_a_number_that_another_process_has_now_is_not_the_driver(storage: Storage) -> None:
    with only_driver(storage, "sweep"):
        left = only_claim(storage)
    # this very process, but started at another time
    write_claim(storage, {**left, "born": f"{left['born']}1"})
    with only_driver(storage, "sweep"):
        pass


RACE = """
import sys
from drivereplay.errors import SpecError
from drivereplay.search.lease import only_driver
from drivereplay.storage import Storage
storage = Storage.of(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    try:
        with only_driver(storage.below(line.strip()), "sweep"):
            print("held", flush=True)
            sys.stdin.readline()  # whoever holds it keeps it until all have had their answer
    except SpecError as error:
        print(error.what, flush=True)
        sys.stdin.readline()
    print("over", flush=True)
"""


@pytest.mark.parametrize("place", ["directory", "object store"])
def test_fifty_simultaneous_starts_have_one_driver_each(
    place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("s3_server") if place == "object store" else None
    uri = server.uri("races") if isinstance(server, S3Server) else str(tmp_path)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    drivers = [subprocess.Popen([sys.executable, "-c", RACE, uri], **pipes) for _ in range(2)]

    def tell(line: str) -> None:
        for driver in drivers:
            driver.stdin.write(f"{line}\n")

    def answers() -> list[str]:
        return sorted(driver.stdout.readline().strip() for driver in drivers)

    try:
        assert answers() == ["ready"] * 2
        for number in range(50):
            tell(f"run-{number}")
            winner, *refused = sorted(answers(), key=lambda answer: answer != "held")
            assert winner == "held" and all("is being driven already" in answer for answer in refused), f"run {number}"
            tell("end of the round")
            assert answers() == ["over"] * 2
    finally:
        for driver in drivers:
            driver.kill()
            driver.wait()


def test_another_machine_is_believed_as_long_as_it_gives_signs_of_life(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = iter(range(1000))
    elsewhere = {"host": "elsewhere", "pid": 1, "boot": "b", "namespace": "n", "born": "1", "held": True}

    def beat() -> None:
        write_claim(storage, {**elsewhere, "beat": next(beats)})

    beat()
    monkeypatch.setattr(lease.time, "sleep", lambda _: beat())
    with pytest.raises(SpecError, match="elsewhere"), only_driver(storage, "sweep"):
        pass
    # and no longer
    moments = iter(range(0, 10_000, 7))
    monkeypatch.setattr(lease.time, "sleep", lambda _: None)
    monkeypatch.setattr(lease.time, "monotonic", lambda: next(moments))
    with only_driver(storage, "sweep"):
        assert only_claim(storage)["host"] != "elsewhere"


def test_a_driver_in_another_pid_namespace_is_not_taken_for_dead(storage: Storage) -> None:
    """Two containers of one machine: the other one's process number says nothing here."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let a process make a PID namespace")
    process = other_driver(storage, *unshare)
    answer: list[BaseException] = []

    def second() -> None:
        try:
            with only_driver(storage, "sweep"):
                pass
        except SpecError as error:
            answer.append(error)

    try:
        assert only_claim(storage)["pid"] < 100  # a number of its own world
        thread = threading.Thread(target=second)
        thread.start()
        # its next sign of life settles it
        thread.join(30)
        assert answer and "is being driven already" in str(answer[0])
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the drivers of a test believe to have gone by."""
    now = [1000.0]
    monkeypatch.setattr(lease, "_clock_s", lambda: now[0])
    return now


def taken_over(storage: Storage) -> None:
    """What a second driver leaves that has found the first one silent."""
    (name, claim) = next(iter(claims(storage).items()))
    storage.delete(f"{FOLDER}/{name}")
    write_claim(storage, {**claim, "generation": claim["generation"] + 1})


def test_a_driver_that_was_stopped_for_long_writes_nothing_more(storage: Storage, clock: list[float]) -> None:
    with only_driver(storage, "sweep") as held:
        journal = Journal(storage, held.require)
        journal.append_logs([{"op_code": 0}])
        clock[0] += 3600.0
        taken_over(storage)
        for write in (lambda: journal.append_logs([{"op_code": 1}]), journal.sync, journal.close, held.require):
            with pytest.raises(DriveReplayError, match="taken over"):
                write()
        # nor does it take the lease back, whatever comes later
        held.renew()
        assert list(claims(storage)) == ["theirs.json"]
        storage.delete(f"{FOLDER}/theirs.json")
        held.renew()
        assert not claims(storage)
    assert len(storage.read("study.journal").splitlines()) == 1


def test_a_driver_stopped_in_the_middle_of_a_renewal_withdraws(
    storage: Storage, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with only_driver(storage, "sweep") as held:
        write = held._write

        def stopped(*, held: bool) -> None:
            clock[0] += 3600.0
            taken_over(storage)
            write(held=held)

        monkeypatch.setattr(held, "_write", stopped)
        held.renew()
        assert list(claims(storage)) == ["theirs.json"]
        with pytest.raises(DriveReplayError, match="taken over"):
            held.require()


def test_a_driver_that_was_stopped_and_nobody_came_goes_on(storage: Storage, clock: list[float]) -> None:
    with only_driver(storage, "sweep") as held:
        before = only_claim(storage)
        clock[0] += 3600.0
        held.require()
        held.renew()
        assert only_claim(storage) != before


def test_what_has_just_been_confirmed_is_not_read_again(storage: Storage, clock: list[float]) -> None:
    """There are ten records to a suggestion, and storage may be far away."""
    with only_driver(storage, "sweep") as held:
        taken_over(storage)
        clock[0] += 15.0
        held.require()
        clock[0] += 60.0
        with pytest.raises(DriveReplayError, match="taken over"):
            held.require()


def test_signs_of_life_go_on_when_the_storage_was_away() -> None:
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


@pytest.mark.parametrize("damage", [b"{", b"[1]", b"\x00\xff", b'{"held": true}'])
def test_a_damaged_claim_is_nobodys(storage: Storage, damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_S", 0.0)
    storage.write(f"{FOLDER}/damaged.json", damage)
    with only_driver(storage, "sweep"):
        assert "pid" in only_claim(storage)
