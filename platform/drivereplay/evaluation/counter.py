"""How far an evaluation is: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Counter:
    """Shows clips as they are judged, on standard error so that `--json` output stays clean.

    Args:
        name: What is going on.
        clips: In total; None shows nothing.
        every_s: Seconds between lines in a log.
    """

    def __init__(self, name: str, clips: int | None, *, every_s: float = 10.0) -> None:
        self._name = name
        self._clips = clips
        self._every_s = every_s
        self._bar: Any = None
        self._task: Any = None
        self._started = self._told = time.monotonic()

    def __enter__(self) -> Counter:
        if self._clips is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._clips)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int) -> None:
        """Show that so many clips are done."""
        if self._clips is None:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done)
            return
        now = time.monotonic()
        if done >= self._clips or now - self._told >= self._every_s:
            self._told = now
            rate = done / max(now - self._started, 1e-9)
            print(f"{self._name}: {done}/{self._clips} clips  {rate:.1f} clips/s", file=sys.stderr, flush=True)
