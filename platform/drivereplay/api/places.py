"""Verbs about where things run and are looked at: jobs, status, doctor, dashboards, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivereplay.doctor import Check
    from drivereplay.jobs.manage import Job


def submit(
    arguments: Sequence[str],
    *,
    address: str | None = None,
    name: str | None = None,
    detach: bool = False,
    include: Iterable[Path] = (),
    requirements: Path | None = None,
    env: Sequence[str] = (),
    dry_run: bool = False,
    as_json: bool = False,
    say: Callable[[str], None] | None = None,
) -> int:
    """Run a verb as a Ray job; the exit code is the job's own. See `drivereplay.jobs.submit`."""
    from drivereplay.jobs import submit as submit_job

    return submit_job(
        arguments,
        address=address,
        name=name,
        wait=not detach,
        include=include,
        requirements=requirements,
        env=env,
        dry_run=dry_run,
        as_json=as_json,
        say=say,
    )


def list_jobs(address: str | None = None) -> list[dict[str, Any]]:
    """The jobs on a cluster."""
    from drivereplay.jobs import list_jobs as listed

    return listed(address)


def job_logs(job: str, address: str | None = None) -> tuple[Job, str]:
    """A job, and its log."""
    from drivereplay.jobs import job_logs as text

    return text(job, address)


def stop_job(job: str, address: str | None = None) -> Job:
    """Stop a job; returns it as it ended."""
    from drivereplay.jobs import stop_job as stopped

    return stopped(job, address)


def status(directory: str | Path) -> dict[str, Any]:
    """What runs, how far, how long still, what failed, what it has cost."""
    from drivereplay.status import status as read_status

    return read_status(directory)


def doctor(*, storage: str = "runs", cluster: bool = False) -> list[Check]:
    """What works on this machine and what does not."""
    from drivereplay.doctor import doctor as examine

    return examine(storage=storage, cluster=cluster)


def open_dashboard(directory: str | Path, *, port: int = 6006, host: str = "127.0.0.1", browser: bool = True) -> None:
    """Start TensorBoard on a run and stay until it is interrupted."""
    from drivereplay.dashboard.serve import open_dashboard as serve

    serve(directory, port=port, host=host, browser=browser)


def write_static_dashboard(directory: str | Path, file: Path) -> Path:
    """The Pareto tab as one self-contained HTML file."""
    from drivereplay.dashboard.static import write_static

    return write_static(directory, file)


def install_weights(only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Fetch, verify and convert the optional metric weights."""
    from drivereplay.evaluation.weights import install

    return install(tuple(only))
