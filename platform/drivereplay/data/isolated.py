"""Calls that may kill their process or never come back, made in a process apart."""

from __future__ import annotations

import faulthandler
import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Generic, TypeVar

_A = TypeVar("_A")
_R = TypeVar("_R")

_GRACE_S = 30.0
_END_S = 10.0


class Died(Exception):
    """The process that made the call is gone; the message says how it ended, such as `signal 11`."""


class GaveUp(Exception):
    """The call took longer than it was given."""


class Isolated(Generic[_A, _R]):
    """Makes calls of one function in a process apart, one at a time; the process is replaced when it dies or hangs.

    The process is started at the first call and kept for the next ones. It imports what the function needs and nothing
    of the caller's: it shares no memory and no threads with it.

    Args:
        function: Stands in a module under its own name; its argument and its result can be pickled.
    """

    def __init__(self, function: Callable[[_A], _R]) -> None:
        self._function = (function.__module__, function.__name__)
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def __call__(self, argument: _A, patience_s: float) -> _R:
        """Call the function, for `patience_s` seconds at most; the clock starts when the process is ready.

        Raises:
            Died: The process ended before it answered.
            GaveUp: It did not answer in time, and was ended.
            RuntimeError: The function raised; the message is the traceback.
        """
        connection = self._connection or self._started()
        try:
            connection.send((argument, patience_s))
            if not connection.poll(patience_s):
                raise GaveUp
            raised, result = connection.recv()
        except (EOFError, OSError) as error:
            raise Died(self._ended()) from error
        except GaveUp:
            self.close()
            raise
        if raised:
            raise RuntimeError(result)
        answer: _R = result
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def _started(self) -> Connection:
        self._connection, other = Pipe()
        with other:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            code = f"from {__name__} import serve; serve({other.fileno()})"
            command = [sys.executable, "-c", code]
            self._process = subprocess.Popen(command, pass_fds=(other.fileno(),), env=environment)
        try:
            self._connection.send(self._function)
            self._connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"A process apart could not be started: {self._ended()}; its log says why.") from error
        return self._connection

    def _ended(self) -> str:
        """How the process ended; the next call starts another one."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            connection.close()
        if process is None:
            return "not started"
        try:
            code = process.wait(_END_S)
        except subprocess.TimeoutExpired:
            # inside a system call that cannot be interrupted, as on a network disk that is away
            return "hangs"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def serve(handle: int) -> None:
    """Answer calls that come through a socket until its other end is closed; what the process apart runs.

    Args:
        handle: File descriptor of the socket.
    """
    with Connection(handle) as connection:
        module, name = connection.recv()
        function = getattr(importlib.import_module(module), name)
        connection.send(None)
        while True:
            try:
                argument, patience_s = connection.recv()
            except EOFError:
                return
            # nobody may be left to end it; this works however the call hangs
            faulthandler.dump_traceback_later(patience_s + _GRACE_S, exit=True)
            try:
                answer = (False, function(argument))
            except Exception:  # noqa: BLE001 (it is raised again on the other side)
                answer = (True, traceback.format_exc())
            faulthandler.cancel_dump_traceback_later()
            connection.send(answer)
