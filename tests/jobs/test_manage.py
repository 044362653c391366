"""Finding, reading and stopping jobs."""

from __future__ import annotations

import sys

import pytest
from cluster.local.cluster import LocalCluster

from drivereplay.errors import SpecError
from drivereplay.jobs import job_logs, list_jobs, stop_job
from drivereplay.jobs.client import connect, hand_over
from drivereplay.jobs.follow import follow
from drivereplay.jobs.manage import PREFIX, find_job


@pytest.mark.slow
def test_our_jobs_are_listed_and_other_peoples_are_not(reach: LocalCluster) -> None:
    client = connect()
    metadata = {f"{PREFIX}verb": "plan", f"{PREFIX}run": "runs/a", f"{PREFIX}user": "ann@laptop"}
    ours = hand_over(client, entrypoint="echo hello from ours", submission_id="plan-a-1", metadata=metadata)
    theirs = hand_over(client, entrypoint="echo hello")
    assert follow(client, ours, lambda text: None) == 0
    follow(client, theirs, lambda text: None)
    rows = {row["id"]: row for row in list_jobs()}
    assert theirs not in rows
    row = rows["plan-a-1"]
    assert (row["verb"], row["run"], row["user"], row["status"], row["exit_code"]) == (
        "plan", "runs/a", "ann@laptop", "SUCCEEDED", 0,
    )  # fmt: skip
    assert row["ended_s"] >= row["started_s"] > 0
    assert "hello from ours" in job_logs("plan-a")


@pytest.mark.slow
def test_stop_waits_until_the_job_has_ended(reach: LocalCluster) -> None:
    client = connect()
    waiting = f"{sys.executable} -c 'import signal; signal.pause()'"
    hand_over(client, entrypoint=waiting, submission_id="sweep-b-1", metadata={f"{PREFIX}verb": "sweep"})
    assert stop_job("sweep-b") == "STOPPED"
    assert not find_job(client, "sweep-b-1").active
    assert stop_job("sweep-b-1") == "STOPPED"


def test_an_unknown_job_is_said(reach: LocalCluster) -> None:
    with pytest.raises(SpecError, match="has no job 'nothing'"):
        job_logs("nothing")
