"""Progress of a run: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from drivereplay.training.curve import CurvePoint


class Progress:
    """Shows steps as they are done, on standard error so that `--json` output stays clean.

    Args:
        name: Of the run.
        steps: In total.
        every: Steps between lines in a log.
        show: False shows nothing.
    """

    def __init__(self, name: str, steps: int, *, every: int, show: bool = True) -> None:
        self.name = name
        self.steps = steps
        self.every = every
        self.show = show
        self._bar: object = None
        self._task: object = None
        self._last = time.perf_counter()
        self._since = 0

    def __enter__(self) -> Progress:
        if self.show and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            bar = Bar(*columns, TextColumn("{task.fields[loss]}"), console=Console(stderr=True), transient=False)
            bar.start()
            self._bar = bar
            self._task = bar.add_task(self.name, total=self.steps, loss="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()  # type: ignore[attr-defined]

    def update(self, point: CurvePoint, samples: int) -> None:
        """Show one more step of `samples` samples."""
        if not self.show:
            return
        done = point.step + 1
        self._since += samples
        if self._bar is not None:
            self._bar.update(self._task, completed=done, loss=_losses(point))  # type: ignore[attr-defined]
        elif done % self.every == 0 or done == self.steps:
            now = time.perf_counter()
            rate = self._since / max(now - self._last, 1e-9)
            self._last, self._since = now, 0
            print(
                f"{self.name}: step {done}/{self.steps}  {_losses(point)}  {rate:.1f} samples/s",
                file=sys.stderr,
                flush=True,
            )


def _losses(point: CurvePoint) -> str:
    parts = [f"loss {point.loss:.4f}"]
    if len(point.domains) > 1:
        parts.append("(" + " ".join(f"{name} {loss:.3f}" for name, loss in point.domains.items()) + ")")
    return " ".join(parts)
