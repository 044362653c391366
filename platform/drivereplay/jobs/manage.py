"""Finding jobs again: what runs, its log, its end."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.jobs.client import connect, raised

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

PREFIX = "drivereplay_"
"""Begins each key of a job's metadata that is ours."""

_STOP_POLL_S = 0.25
_STOP_POLLS = 240
_LISTED = 8


@dataclass(frozen=True)
class Job:
    """One job of ours on a cluster.

    Attributes:
        id: Submission id; `drivereplay logs` and `drivereplay stop` take it.
        status: Ray's word: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        verb: What it runs.
        run: Directory of the run it works on; empty where the verb has none.
        user: Who submitted it, and from which machine.
        started_s: Unix time; None if it has not started.
        ended_s: Unix time; None if it has not ended.
        exit_code: Of the verb; None if it has not ended or was killed.
        message: Ray's account of how it stands.
    """

    id: str
    status: str
    verb: str
    run: str
    user: str
    started_s: float | None
    ended_s: float | None
    exit_code: int | None
    message: str

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.status in {"PENDING", "RUNNING"}

    @property
    def reason(self) -> str:
        """Why it failed, in one line: the last line of its log that Ray kept, else Ray's own message."""
        lines = [line.strip() for line in self.message.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def described(self) -> str:
        """Which job this is and whose: `sweep-dashcam-1 (sweep of runs/dashcam, submitted by ann@laptop)`."""
        of = f" of {self.run}" if self.run else ""
        return f"{self.id} ({self.verb}{of}, submitted by {self.user or 'somebody unnamed'})"

    def to_json(self) -> dict[str, Any]:
        """The job as `jobs --json` prints it."""
        return {**asdict(self), "reason": self.reason if self.status == "FAILED" else ""}


def list_jobs(address: str | None = None) -> list[dict[str, Any]]:
    """The jobs that `submit` started on a cluster, the newest first; other people's Ray jobs are left out.

    Args:
        address: See `drivereplay.jobs.client.connect`.
    """
    return [job.to_json() for job in jobs_of(connect(address))]


def find_job(client: JobSubmissionClient, name: str) -> Job:
    """The job with this id, or the only one whose id begins with it.

    Raises:
        SpecError: There is none, the name is empty, or several begin with it; the message lists them.
    """
    jobs = jobs_of(client)
    matching = [job for job in jobs if job.id == name] or [job for job in jobs if name and job.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(job.described() for job in (matching or jobs)[:_LISTED]) or "none"
    if matching:
        what = f"'{name}' begins the ids of {len(matching)} jobs: {listed}."
        raise SpecError(what, "Give the whole id of one of them.")
    raise SpecError(f"{client._address} has no job '{name}'; it has: {listed}.", "See `drivereplay jobs`.")


def job_logs(name: str, address: str | None = None) -> tuple[Job, str]:
    """A job and its whole log so far.

    Args:
        name: The job's id, or enough of its beginning.
        address: See `drivereplay.jobs.client.connect`.

    Raises:
        SpecError: There is no such job, or no such cluster.
    """
    client = connect(address)
    job = find_job(client, name)
    try:
        return job, str(client.get_job_logs(job.id))
    except (RuntimeError, OSError) as error:
        raise raised(f"The log of job {job.id} cannot be read", error) from error


def stop_job(name: str, address: str | None = None) -> Job:
    """Ask a job to end and wait until it has; what it has finished stays and can be resumed.

    Args:
        name: The job's id, or enough of its beginning.
        address: See `drivereplay.jobs.client.connect`.

    Returns:
        The job with the status in which it ended.

    Raises:
        SpecError: There is no such job, or no such cluster.
        DriveReplayError: It did not end within a minute.
    """
    client = connect(address)
    job = find_job(client, name)
    try:
        if job.active:
            client.stop_job(job.id)
        for _ in range(_STOP_POLLS):
            status = client.get_job_status(job.id)
            if status.is_terminal():
                return replace(job, status=str(status.value))
            threading.Event().wait(_STOP_POLL_S)
    except (RuntimeError, OSError) as error:
        raise raised(f"Job {job.id} cannot be stopped", error) from error
    raise DriveReplayError(
        f"Job {job.id} was asked to stop and still runs.", "Try again, or end its driver on the head."
    )


def jobs_of(client: JobSubmissionClient) -> list[Job]:
    """All jobs of ours that the cluster remembers, the newest first."""
    try:
        details = client.list_jobs()
    except (RuntimeError, OSError) as error:
        raise raised(f"The jobs of {client._address} cannot be listed", error) from error
    ours = [_job(d) for d in details if d.submission_id and f"{PREFIX}verb" in (d.metadata or {})]
    return sorted(ours, key=lambda job: (job.started_s or 0.0, job.id), reverse=True)


def _job(details: Any) -> Job:
    metadata = details.metadata
    return Job(
        id=details.submission_id,
        status=details.status.value,
        verb=metadata[f"{PREFIX}verb"],
        run=metadata.get(f"{PREFIX}run", ""),
        user=metadata.get(f"{PREFIX}user", ""),
        started_s=details.start_time / 1000 if details.start_time else None,
        ended_s=details.end_time / 1000 if details.end_time else None,
        exit_code=details.driver_exit_code,
        message=details.message or "",
    )
