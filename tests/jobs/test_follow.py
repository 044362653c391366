"""A job's log arrives while it runs, whole and once, and its exit code with it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster.local.cluster import LocalCluster

from drivereplay.errors import DriveReplayError
from drivereplay.jobs.client import connect, hand_over
from drivereplay.jobs.follow import follow


def _python(code: str) -> str:
    return f"{sys.executable} -u -c {shlex.quote(code)}"


@pytest.mark.slow
def test_the_log_is_live_and_the_exit_code_is_the_jobs(reach: LocalCluster, tmp_path: Path) -> None:
    """The job goes on only once its first line has been seen here."""
    sign = tmp_path / "seen"
    code = (
        f"import pathlib, threading; print('first line'); p = pathlib.Path({str(sign)!r})\n"
        "while not p.exists(): threading.Event().wait(0.05)\n"
        "print('second line'); raise SystemExit(7)"
    )
    client = connect()
    job = hand_over(client, entrypoint=_python(code))
    log: list[str] = []

    def write(text: str) -> None:
        log.append(text)
        if "first line" in "".join(log):
            sign.touch()

    assert follow(client, job, write) == 7
    text = "".join(log)
    assert text.count("first line\n") == 1
    assert text.count("second line\n") == 1


@pytest.mark.slow
def test_a_broken_connection_is_taken_up_where_it_stopped(reach: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    job = hand_over(client, entrypoint=_python("print('\\n'.join(f'line {n}.' for n in range(2000)))"))
    whole = client.tail_job_logs
    calls = []

    async def broken(job_id: str) -> Any:
        """The real stream, cut off in the middle of a piece the first three times."""
        calls.append(job_id)
        async for text in whole(job_id):
            if len(calls) <= 3:
                yield text[: len(text) // 2 + 1]
                raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")
            yield text

    monkeypatch.setattr(client, "tail_job_logs", broken)
    log: list[str] = []
    assert follow(client, job, log.append) == 0
    lines = [line for line in "".join(log).splitlines() if line.startswith("line ")]
    assert lines == [f"line {n}." for n in range(2000)]
    assert len(calls) >= 4


@pytest.mark.slow
def test_a_command_that_does_not_exist_is_a_failure_with_the_reason(reach: LocalCluster) -> None:
    client = connect()
    job = hand_over(client, entrypoint="no-such-program-here")
    log: list[str] = []
    assert follow(client, job, log.append) == 127
    assert "no-such-program-here" in "".join(log)


@pytest.mark.slow
def test_a_killed_job_is_a_failure(reach: LocalCluster) -> None:
    client = connect()
    job = hand_over(client, entrypoint=_python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    log: list[str] = []
    assert follow(client, job, log.append) != 0


def test_a_job_that_nobody_knows_is_an_error(reach: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.jobs.follow._POLL_S", 0.0)
    with pytest.raises(DriveReplayError, match="cannot be read any more"):
        follow(connect(), "never-submitted", lambda text: None)
