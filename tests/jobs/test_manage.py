"""Finding, reading and stopping jobs."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from cluster.local.cluster import LocalCluster
from tests.jobs.dashboard import Dashboard, serving
from typer.testing import CliRunner

from drivereplay.cli.root import app
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
    job, text = job_logs("plan-a")
    assert job.user == "ann@laptop" and "hello from ours" in text


@pytest.mark.slow
def test_stop_waits_until_the_job_has_ended(reach: LocalCluster) -> None:
    client = connect()
    waiting = f"{sys.executable} -c 'import signal; signal.pause()'"
    hand_over(client, entrypoint=waiting, submission_id="sweep-b-1", metadata={f"{PREFIX}verb": "sweep"})
    assert stop_job("sweep-b").status == "STOPPED"
    assert not find_job(client, "sweep-b-1").active
    assert stop_job("sweep-b-1").status == "STOPPED"


def test_an_unknown_job_is_said(reach: LocalCluster) -> None:
    with pytest.raises(SpecError, match="has no job 'nothing'"):
        job_logs("nothing")


@pytest.mark.parametrize(
    ("name", "message"), [("", "has no job ''"), ("sweep-a", "2 jobs"), ("s", "3 jobs"), ("x", "no job")]
)
@pytest.mark.parametrize("act", [stop_job, job_logs])
def test_a_name_that_means_no_job_or_several_touches_none(act: Any, name: str, message: str) -> None:
    with serving(Dashboard()) as dashboard:
        dashboard.add_job("sweep-a-1")
        dashboard.add_job("sweep-a-2", user="bob@tower")
        dashboard.add_job("sweep-b")
        with pytest.raises(SpecError, match=message) as caught:
            act(name, dashboard.address)
    assert "sweep-a-1 (sweep of runs/a, submitted by ann@laptop)" in str(caught.value)
    assert "bob@tower" in str(caught.value)
    assert not dashboard.stopped


def test_a_whole_id_and_the_beginning_of_one_alone_are_enough() -> None:
    with serving(Dashboard()) as dashboard:
        for job_id in ("sweep-a", "sweep-a-2", "train-c"):
            dashboard.add_job(job_id)
        client = connect(dashboard.address)
        assert find_job(client, "sweep-a").id == "sweep-a"
        assert find_job(client, "sweep-a-").id == "sweep-a-2"
        assert find_job(client, "t").id == "train-c"


def test_why_a_job_failed_is_one_line() -> None:
    message = "Job entrypoint command failed with exit code 1, last available logs:\n epoch 1\nerror: disk full\n"
    with serving(Dashboard()) as dashboard:
        dashboard.add_job("sweep-a", status="FAILED", message=message)
        (row,) = list_jobs(dashboard.address)
        printed = CliRunner().invoke(app, ["jobs", "--address", dashboard.address]).output
    assert row["reason"] == "error: disk full" and row["message"] == message
    assert "sweep-a: error: disk full" in printed and "last available logs" not in printed


def test_a_verb_that_does_not_exist_is_refused_before_any_cluster_is_reached() -> None:
    with serving(Dashboard()) as dashboard:
        done = CliRunner().invoke(app, ["submit", "--address", dashboard.address, "--", "swep", "x.yaml"])
    assert isinstance(done.exception, SpecError) and "`sweep`" in str(done.exception)
    assert not dashboard.jobs and not dashboard.uploaded
