"""Processes of a sweep are killed in the middle of it; its front comes out the same."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading

import psutil
import pytest
from tests.end_to_end.sweeps import Run

from drivereplay.search.lease import FOLDER as LEASE
from drivereplay.search.lease import STALE_S

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(2400)]

TRIAL = "ray::ImplicitFunc"
DECODING = "ray::ReadSamplingPlan"
"""Not simply all of Ray's: with a node's agents, which are called so too, the node goes."""


def _kill(pids: list[int]) -> None:
    assert pids, "there was nothing to kill"
    for pid in pids:
        # one may have ended by itself since they were listed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def test_a_trials_process(run: Run, undisturbed: Run) -> None:
    run.start()
    run.in_the_middle_of("replay-only")
    _kill([process.pid for process in run.family(TRIAL)])
    run.finish()
    run.equals(undisturbed)


def test_the_workers_that_decode(run: Run, undisturbed: Run) -> None:
    """Those in the middle of it, and those that wait for the next task."""
    run.start()
    run.until("a worker decodes", lambda: run.family(DECODING))
    _kill([process.pid for process in run.family(DECODING, "ray::IDLE")])
    run.finish()
    run.equals(undisturbed)


def test_the_driver(run: Run, undisturbed: Run) -> None:
    """With it goes its local cluster; what had finished is not done again."""
    run.start()
    run.in_the_middle_of("replay-only")
    done = run.directory / "trials" / "naive" / "candidates.json"
    before = done.stat().st_mtime_ns
    run.end()
    run.finish("--resume")
    run.equals(undisturbed)
    assert done.stat().st_mtime_ns == before


def test_the_process_that_holds_the_journal_is_stopped_for_a_while(run: Run, undisturbed: Run) -> None:
    """SIGSTOP: it is not dead, so that nobody takes its place; continued, it takes up what has come in the meantime."""
    run.start()
    run.in_the_middle_of("replay-only")
    assert run.process is not None
    (claim,) = (run.directory / LEASE).glob("*.json")
    holder = json.loads(claim.read_text())["pid"]
    assert holder == run.process.pid
    os.kill(holder, signal.SIGSTOP)
    try:
        # longer than the time after which a silent driver of another machine counts as dead
        threading.Event().wait(STALE_S + 5.0)
        refused = run.beside("--resume")
        assert refused.returncode == 2 and f"process {holder} on" in refused.stderr, refused.stderr
    finally:
        os.kill(holder, signal.SIGCONT)
    assert run.wait() == 0
    run.equals(undisturbed)


def test_the_raylet(run: Run, undisturbed: Run) -> None:
    """The heart of the local cluster; the driver has to end, not to hang."""
    run.start()
    run.in_the_middle_of("replay-only")
    _kill([process.pid for process in run.family() if _name(process) == "raylet"])
    assert run.wait() != 0
    run.end()
    run.finish("--resume")
    run.equals(undisturbed)


def test_the_driver_asked_to_stop(run: Run, undisturbed: Run) -> None:
    """Ctrl-C: a line that says how to go on, and exit code 130."""
    run.start()
    run.in_the_middle_of("naive")
    assert run.process is not None
    os.kill(run.process.pid, signal.SIGINT)
    assert run.wait() in (1, 130)
    assert "--resume" in run.log.read_text()
    run.finish("--resume")
    run.equals(undisturbed)
