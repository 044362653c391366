"""A job's log as it is written, and how the job ended."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drivereplay.jobs.client import raised

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_POLL_S = 0.5
_SILENCE_S = 60.0


def follow(client: JobSubmissionClient, job_id: str, write: Callable[[str], Any] | None = None) -> int:
    """Stream the log of a job until it ends.

    A broken connection (a proxy's time-out, a dashboard that restarts) is taken up again where the log stopped.

    Args:
        client: From `connect`.
        job_id: The submission id.
        write: Takes each piece of text; None writes to standard output.

    Returns:
        The entrypoint's exit code; 1 for a job that never ran or was stopped.

    Raises:
        DriveReplayError: The cluster no longer knows the job or no longer answers.
    """
    import aiohttp

    out = write or _to_stdout
    log = _Log(out)
    failures = 0
    while True:
        try:
            asyncio.run(_tail(client, job_id, log))
            details = client.get_job_info(job_id)
            if details.status.is_terminal():
                # what was logged between the last piece of the stream and the end of the job
                log.take(client.get_job_logs(job_id), 0)
                return _exit_code(details, out)
            failures = 0
        except (RuntimeError, OSError, aiohttp.ClientError) as error:
            failures += 1
            if failures > 20:
                raise raised(f"The log of job {job_id} on {client._address} cannot be read any more", error) from error
        threading.Event().wait(min(5.0, _POLL_S * max(1, failures)))


class _Log:
    """What of a log has been written, over all connections: Ray always sends a log from its beginning."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write
        self._shown = 0

    def take(self, text: str, first: int) -> None:
        """Write what is new of a piece that begins at character `first` of the log."""
        fresh = text[max(0, self._shown - first) :]
        if fresh:
            self._shown = first + len(text)
            self._write(fresh)


async def _tail(client: JobSubmissionClient, job_id: str, log: _Log) -> None:
    """Hand a log on as it comes, until it ends or is silent for so long that the connection may be a dead one."""
    pieces = client.tail_job_logs(job_id)
    first = 0
    while True:
        try:
            async with asyncio.timeout(_SILENCE_S):
                text = await anext(pieces, None)
        except TimeoutError:
            return
        if text is None:
            return
        log.take(text, first)
        first += len(text)


def _exit_code(details: Any, write: Callable[[str], Any]) -> int:
    if details.driver_exit_code is not None and details.driver_exit_code >= 0 and details.status != "STOPPED":
        return int(details.driver_exit_code)
    if details.status == "SUCCEEDED":
        return 0
    # Ray's message ends with up to 20,000 characters of the log that has just been shown
    message = (details.message or "").strip().partition("\n")[0]
    write(f"Job {details.submission_id} {details.status.value.lower()}: {message}\n")
    return 1


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
