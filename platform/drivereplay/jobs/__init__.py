"""Any verb as a Ray job: pack it, submit it, follow it, find it again."""

from __future__ import annotations

from drivereplay.jobs.manage import job_logs, list_jobs, stop_job
from drivereplay.jobs.submit import submit

__all__ = ["job_logs", "list_jobs", "stop_job", "submit"]
