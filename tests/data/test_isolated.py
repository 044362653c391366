"""Calls in a process apart: results, deaths and hangings."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from drivereplay.data.isolated import Died, GaveUp, Isolated


def behaves(what: str) -> str:
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "leaves":
        os._exit(3)
    if what == "hangs":
        threading.Event().wait()
    if what == "raises":
        raise ValueError("none of these")
    return str(os.getpid())


def test_one_process_serves_many_calls_and_is_replaced() -> None:
    isolated = Isolated(behaves)
    try:
        first = isolated("fine", 60.0)
        assert first != str(os.getpid()) and isolated("fine", 60.0) == first
        with pytest.raises(RuntimeError, match="ValueError: none of these"):
            isolated("raises", 60.0)
        assert isolated("fine", 60.0) == first
        with pytest.raises(Died, match="signal 9"):
            isolated("dies", 60.0)
        second = isolated("fine", 60.0)
        assert second != first
        with pytest.raises(Died, match="exit code 3"):
            isolated("leaves", 60.0)
        with pytest.raises(GaveUp):
            isolated("hangs", 0.5)
        assert isolated("fine", 60.0) not in (first, second)
    finally:
        isolated.close()


def test_the_process_ends_with_the_one_that_calls() -> None:
    isolated = Isolated(behaves)
    number = int(isolated("fine", 60.0))
    process = isolated._process
    assert process is not None and isolated._connection is not None
    isolated._connection.close()
    assert process.wait(30.0) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_function_that_cannot_be_found_is_told() -> None:
    isolated = Isolated(behaves)
    isolated._function = b"cdrivereplay.nowhere\nnothing\n."
    with pytest.raises(RuntimeError, match=r"could not be started: exit code 1"):
        isolated("fine", 60.0)
