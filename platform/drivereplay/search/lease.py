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

from drivereplay.errors import SpecError
from drivereplay.storage import Storage

FILE = "driver.json"
RENEWED_S = 15.0
STALE_S = 60.0
"""Without a sign of life for so long a driver on another machine counts as dead. Clocks may differ: what counts is how
long its file has stayed the same, seen from here."""

logger = logging.getLogger(__name__)


@contextmanager
def only_driver(storage: Storage, name: str) -> Iterator[None]:
    """Hold the lease of a run's directory; a dead driver's is taken over, at once if it died on this machine.

    Raises:
        SpecError: Another driver is at work there.
    """
    mine = {"token": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
    _wait_for_silence(storage, name)
    _renew(storage, mine)
    ended = threading.Event()
    thread = threading.Thread(target=_keep, args=(storage, mine, ended), daemon=True, name="lease")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if _holder(storage).get("token") == mine["token"]:
            storage.delete(FILE)


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


def _keep(storage: Storage, mine: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(RENEWED_S):
        try:
            if _holder(storage).get("token", mine["token"]) != mine["token"]:
                # this process was stopped for long, and counted as dead
                logger.error("Another driver has taken over the sweep in %s: end this one.", storage.uri)
                return
            _renew(storage, mine)
        except OSError as error:  # the storage is away; the sweep itself says so where it matters
            logger.warning("The sweep's %s could not be renewed: %s", FILE, error)


def _renew(storage: Storage, mine: dict[str, Any]) -> None:
    storage.write(FILE, json.dumps({**mine, "beat": time.time()}).encode())


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
