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
    import requests

    out = write or _to_stdout
    shown = 0
    failures = 0
    while True:
        try:
            shown = asyncio.run(_tail(client, job_id, shown, out))
            details = client.get_job_info(job_id)
            failures = 0
        except (RuntimeError, OSError, aiohttp.ClientError, requests.RequestException) as error:
            failures += 1
            if failures > 20:
                raise raised(f"The log of job {job_id} on {client._address} cannot be read any more", error) from error
            threading.Event().wait(min(5.0, _POLL_S * failures))
            continue
        if details.status.is_terminal():
            _rest(client, job_id, shown, out)
            return _exit_code(details, out)
        threading.Event().wait(_POLL_S)


async def _tail(client: JobSubmissionClient, job_id: str, shown: int, write: Callable[[str], Any]) -> int:
    """Write what comes after the first `shown` characters; Ray always sends a log from its beginning."""
    seen = 0
    async for text in client.tail_job_logs(job_id):
        fresh = text[max(0, shown - seen) :]
        seen += len(text)
        if fresh:
            write(fresh)
            shown = max(shown, seen)
    return shown


def _rest(client: JobSubmissionClient, job_id: str, shown: int, write: Callable[[str], Any]) -> None:
    """What was logged between the last piece of the stream and the end of the job."""
    text = client.get_job_logs(job_id)
    if len(text) > shown:
        write(text[shown:])


def _exit_code(details: Any, write: Callable[[str], Any]) -> int:
    if details.driver_exit_code is not None and details.driver_exit_code >= 0 and details.status != "STOPPED":
        return int(details.driver_exit_code)
    if details.status == "SUCCEEDED":
        return 0
    message = (details.message or "").strip()
    write(f"Job {details.submission_id} {details.status.value.lower()}: {message}\n")
    return 1


def _to_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
