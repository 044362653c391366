"""A job's log arrives while it runs, whole and once, and its exit code with it."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cluster.local.cluster import LocalCluster

from drivereplay.errors import DriveReplayError
from drivereplay.jobs.client import connect, hand_over
from drivereplay.jobs.follow import follow


class _Broken:
    """A cluster whose connections send a log from its beginning and break; each is given by the pieces it sends."""

    _address = "http://head:8265"

    def __init__(self, whole: str, connections: Sequence[Sequence[str]], end: str = "break") -> None:
        self.whole = whole
        self.connections = list(connections)
        self.end = end

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        for piece in self.connections.pop(0):
            yield piece
        if self.connections and self.end == "break":
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")
        if self.connections:
            await asyncio.Event().wait()

    def get_job_info(self, job_id: str) -> Any:
        ended = not self.connections
        status = SimpleNamespace(is_terminal=lambda: ended)
        return SimpleNamespace(status=status, driver_exit_code=0)

    def get_job_logs(self, job_id: str) -> str:
        return self.whole


@pytest.mark.parametrize("end", ["break", "silence"])
def test_every_line_is_written_once_over_all_connections(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.jobs.follow._POLL_S", 0.0)
    monkeypatch.setattr("drivereplay.jobs.follow._SILENCE_S", 0.05)
    cluster: Any = _Broken("one\ntwo\nthree\nfour\n", [["one\n"], ["one\ntw"], ["on"], ["one\n", "two\nthree\n"]], end)
    log: list[str] = []
    assert follow(cluster, "job", log.append) == 0
    assert log == ["one\n", "tw", "o\nthree\n", "four\n"]


def test_the_rest_of_a_log_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.jobs.follow._POLL_S", 0.0)
    cluster: Any = _Broken("one\ntwo\n", [["one\n"], []])
    answers: list[Any] = [TimeoutError("Read timed out"), "one\ntwo\n"]

    def logs(job_id: str) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            cluster.connections.append(["one\n"])
            raise answer
        return str(answer)

    cluster.get_job_logs = logs
    log: list[str] = []
    assert follow(cluster, "job", log.append) == 0
    assert "".join(log) == "one\ntwo\n"


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
