"""One driver at a time: a second one on the same run would overwrite the first one's journal.

Each driver that wants a run writes a *claim*, a file of its own below `.driver/`, and then lists that folder. It holds
the run only if the listing shows no other claim; otherwise it withdraws its claim and tries again after a random pause,
or gives up as soon as another claim says that its driver holds the run. Two drivers can never both hold it: each one
wrote before it listed, so whoever listed last saw both claims. This needs only files that a listing shows as soon
as they are written, which directories and today's object stores guarantee, and no conditional write, which pyarrow's
filesystems do not offer. A dead driver's claim is removed by its own name, so removing it can never hit a successor's.
"""

from __future__ import annotations

import json
import logging
import os
import random
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

FOLDER = ".driver"
RENEWED_S = 15.0
STALE_S = 60.0
"""A driver on another machine counts as dead after this time without a sign of life. Clocks of machines may differ:
what counts is how long its claim has stayed the same, as seen from here."""
_ATTEMPTS = 50

logger = logging.getLogger(__name__)

_Claim = dict[str, Any]


class Lease:
    """This process's claim on a run's directory.

    Args:
        storage: The run's directory.
        name: Name of the sweep, for messages.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage = storage
        self._name = name
        self._token = uuid.uuid4().hex
        self._identity = {"host": socket.gethostname(), **_process_identity(os.getpid())}
        self._generation = 0
        self._lost = False
        self._confirmed_s = 0.0

    def take(self) -> None:
        """Hold the run from now on; a dead driver's claim is removed, at once if it died on this machine.

        Raises:
            SpecError: Another driver holds the run.
        """
        for attempt in range(_ATTEMPTS):
            for token, claim in _others(self._storage, self._token).items():
                self._wait_until_dead(token, claim)
            self._write(held=False)
            others = _others(self._storage, self._token)
            if not others:
                self._write(held=True)
                self._confirmed_s = _clock_s()
                return
            self._storage.delete(_file(self._token))
            # drivers that started in the same moment must not meet again in the same moment
            threading.Event().wait(random.uniform(0.02, 0.2) * (1 + attempt))
        raise SpecError(
            f"The sweep '{self._name}' could not be claimed: other drivers keep trying to at the same time.",
            "Start one driver alone.",
        )

    def renew(self) -> None:
        """Give a sign of life, unless the lease is lost."""
        now = _clock_s()
        if not self._is_held():
            return
        self._write(held=True)
        # between the check and the write this process may have been stopped for so long that another took over
        if self._is_held():
            self._confirmed_s = now
        else:
            self._storage.delete(_file(self._token))

    def require(self) -> None:
        """Make sure that the run is still held; called before anything is written.

        Raises:
            DriveReplayError: Another driver has taken over, because this one was stopped or cut off for so long that it
                counted as dead.
        """
        try:
            # while the last confirmation is recent, nobody has had the time to take over
            if _clock_s() - self._confirmed_s < STALE_S / 2 or self._is_held():
                return
        except OSError as error:  # the storage is away; whoever writes to it will say so
            logger.warning("The claim on the sweep cannot be read: %s", error)
            return
        raise DriveReplayError(
            f"Another driver has taken over the sweep '{self._name}': this one was silent for too long.",
            "Leave it to that one; `drivereplay status` shows how far it is.",
        )

    def give_back(self) -> None:
        """Let the next driver begin at once."""
        self._storage.delete(_file(self._token))

    def _is_held(self) -> bool:
        """Whether this claim is still there and no successor's is: a successor has a higher generation."""
        if not self._lost:
            claims = _claims(self._storage)
            mine = claims.pop(self._token, None)
            self._lost = mine is None or any(claim.get("generation", 0) > self._generation for claim in claims.values())
        return not self._lost

    def _write(self, *, held: bool) -> None:
        claim = {**self._identity, "generation": self._generation, "held": held, "beat": time.time()}
        self._storage.write(_file(self._token), json.dumps(claim).encode())

    def _wait_until_dead(self, token: str, claim: _Claim) -> None:
        """Return when the claim's driver is dead or has withdrawn, with the claim removed.

        Raises:
            SpecError: The driver holds the run and lives.
        """
        where = f"process {claim.get('pid')} on {claim.get('host')}"
        on_this_machine = _is_visible(claim)
        lives = on_this_machine and _process_identity(int(claim.get("pid", 0)))["born"] == claim.get("born")
        if lives and claim.get("held"):
            raise self._refusal(where)
        if not on_this_machine or lives:
            if claim.get("held"):
                logger.warning("%s may still be driving %s; waiting %.0f s for a sign.", where, self._name, STALE_S)
            deadline = time.monotonic() + STALE_S
            while time.monotonic() < deadline:
                time.sleep(1.0 if claim.get("held") else 0.1)
                now = _claims(self._storage).get(token)
                if now is None:
                    return
                if now.get("held") and now != claim:
                    raise self._refusal(where)
        self._generation = max(self._generation, int(claim.get("generation", 0)) + 1)
        self._storage.delete(_file(token))

    def _refusal(self, where: str) -> SpecError:
        return SpecError(
            f"The sweep '{self._name}' is being driven already, by {where}.",
            "Look at it with `drivereplay status`; to run another, choose another name by --set name=NAME.",
        )


@contextmanager
def only_driver(storage: Storage, name: str) -> Iterator[Lease]:
    """Hold the lease of a run's directory as long as the block runs.

    Args:
        storage: The run's directory.
        name: Name of the sweep, for messages.

    Raises:
        SpecError: Another driver holds the run.
    """
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


def _keep(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_S):
        try:
            lease.renew()
        except OSError as error:  # the storage is away; the sweep itself says so where it matters
            logger.warning("The claim on the sweep could not be renewed: %s", error)


def _clock_s() -> float:
    """Seconds; goes on while the process is stopped and, where the system can tell, while the machine is asleep."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _file(token: str) -> str:
    return f"{FOLDER}/{token}.json"


def _claims(storage: Storage) -> dict[str, _Claim]:
    """Claims by token; one that cannot be read, or is only half written yet, has no entries."""
    claims: dict[str, _Claim] = {}
    for name in storage.names(FOLDER):
        try:
            claim = json.loads(storage.read(f"{FOLDER}/{name}"))
        except FileNotFoundError:  # withdrawn in the meantime
            continue
        except ValueError:
            claim = {}
        claims[name.removesuffix(".json")] = claim if isinstance(claim, dict) else {}
    return claims


def _others(storage: Storage, token: str) -> dict[str, _Claim]:
    return {other: claim for other, claim in _claims(storage).items() if other != token}


def _is_visible(claim: _Claim) -> bool:
    """Whether the claim's process runs, or ran, where this process can see it: same boot and same PID namespace.

    Two containers of one machine do not see each other's processes and may have equal PIDs.
    """
    here = _process_identity(os.getpid())
    return bool(here["born"]) and all(claim.get(key) == here[key] for key in ("boot", "namespace"))


def _process_identity(pid: int) -> dict[str, Any]:
    """Number of a process with what makes it unique, since numbers are used again.

    Returns:
        `pid`; `boot`: the machine's boot; `namespace`: this process's PID namespace; `born`: when the process started,
        in clock ticks since the boot. All but `pid` are empty where the system does not say, `born` also where there is
        no such process.
    """
    identity: dict[str, Any] = {"pid": pid, "boot": "", "namespace": "", "born": ""}
    try:
        identity["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        identity["namespace"] = str(Path("/proc/self/ns/pid").readlink())
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        identity["born"] = stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    return identity
