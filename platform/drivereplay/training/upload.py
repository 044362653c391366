"""Checkpoints on their way to a remote storage while training goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Uploads:
    """One upload at a time, in order, in a thread of its own.

    A second one waits for the first: a storage that is slower than the checkpoints come must not fill the local disk.
    What an upload raised comes back at the next call.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="drivereplay-upload")
        self._running: Future[None] | None = None

    def start(self, upload: Callable[[], None]) -> None:
        """Begin an upload, after the one before has ended."""
        self.wait()
        self._running = self._pool.submit(upload)

    def wait(self) -> None:
        """Return when nothing is on its way.

        Raises:
            TrainingError: The storage stayed away.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()
