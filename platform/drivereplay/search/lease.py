"""One driver at a time: a second one on the same run would write over the first one's journal."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.storage import Storage

FILE = "driver.json"
RENEWED_S = 15.0
STALE_S = 60.0
"""Without a sign of life for so long a driver on another machine counts as dead. Clocks may differ: what counts is how
long its file has stayed the same, seen from here."""

logger = logging.getLogger(__name__)


class Lease:
    """A run's directory in the hands of this process.

    Args:
        storage: The directory.
        name: Of the sweep, for messages.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        pid = os.getpid()
        self._mine = {"token": uuid.uuid4().hex, "host": socket.gethostname(), "pid": pid, "born": _born(pid)}
        self._lost = False
        self._confirmed_s = 0.0

    def take(self) -> None:
        """Hold it from now on."""
        self._write()

    def renew(self) -> None:
        """Give a sign of life, unless the lease is lost."""
        if self._is_held():
            self._write()

    def require(self) -> None:
        """Make sure that it is still held; to be called before anything is written.

        Raises:
            DriveReplayError: Another driver has taken over: this one was stopped or cut off for so long that it
                counted as dead.
        """
        try:
            # as long as this is not old, nobody has had the time to take over
            if _clock_s() - self._confirmed_s < STALE_S / 2 or self._is_held():
                return
        except OSError as error:  # the storage is away; whoever writes to it will say so
            logger.warning("The sweep's %s cannot be read: %s", FILE, error)
            return
        raise DriveReplayError(
            f"Another driver has taken over the sweep '{self._name}': this one was silent for too long.",
            "Leave it to that one; `drivereplay status` shows how far it is.",
        )

    def give_back(self) -> None:
        """Let the next driver begin at once."""
        if self._is_held():
            self._storage.delete(FILE)

    def _is_held(self) -> bool:
        if not self._lost:
            token = self._mine["token"]
            self._lost = _holder(self._storage).get("token", token) != token
        return not self._lost

    def _write(self) -> None:
        now = _clock_s()
        self._storage.write(FILE, json.dumps({**self._mine, "beat": time.time()}).encode())
        self._confirmed_s = now


@contextmanager
def only_driver(storage: Storage, name: str) -> Iterator[Lease]:
    """Hold the lease of a run's directory; a dead driver's is taken over, at once if it died on this machine.

    Raises:
        SpecError: Another driver is at work there.
    """
    _wait_for_silence(storage, name)
    lease = Lease(storage, name)
    lease.take()
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(lease, ended), daemon=True, name="lease")
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join()
        lease.give_back()


def _wait_for_silence(storage: Storage, name: str) -> None:
    """Return once nobody holds the lease."""
    holder = _holder(storage)
    if not holder or _is_dead(holder):
        return
    where = f"process {holder.get('pid')} on {holder.get('host')}"
    if holder.get("host") == socket.gethostname() and holder.get("born"):
        raise _taken(name, where)
    logger.warning("%s may still be driving %s; waiting up to %.0f s for a sign of life.", where, name, STALE_S)
    deadline = time.monotonic() + STALE_S
    while time.monotonic() < deadline:
        time.sleep(1.0)
        now = _holder(storage)
        if not now:
            return
        if now != holder:
            raise _taken(name, where)


def _taken(name: str, where: str) -> SpecError:
    return SpecError(
        f"The sweep '{name}' is being driven already, by {where}.",
        "Look at it with `drivereplay status`; to run another, choose another name by --set name=NAME.",
    )


def _keep(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_S):
        try:
            lease.renew()
        except OSError as error:  # the storage is away; the sweep itself says so where it matters
            logger.warning("The sweep's %s could not be renewed: %s", FILE, error)


def _clock_s() -> float:
    """Goes on while the process is stopped or, where the system can tell, the machine is asleep."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _holder(storage: Storage) -> dict[str, Any]:
    if not storage.exists(FILE):
        return {}
    try:
        found = json.loads(storage.read(FILE))
    except (ValueError, FileNotFoundError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether it was a process of this machine that is no more."""
    if holder.get("host") != socket.gethostname() or not holder.get("born"):
        return False
    return _born(int(holder["pid"])) != holder["born"]


def _born(pid: int) -> str:
    """Machine's boot and when a process of it started: numbers are used again. Empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
    return f"{boot} {started}"
