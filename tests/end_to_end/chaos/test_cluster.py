"""A sweep as a job on a cluster of two real nodes: nodes, networks and drivers are lost in the middle of it."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster.local.cluster import LocalCluster, can_isolate, running
from tests.end_to_end.sweeps import Run, write_sweep

from drivereplay.search.candidates import CandidateTable
from drivereplay.storage import Storage

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]


@pytest.fixture
def two_nodes() -> Iterator[LocalCluster]:
    """Head and one worker node, each in a network of its own."""
    if not can_isolate():
        pytest.skip("network namespaces need root and iproute2")
    with running(nodes=2, cpus=2, isolated=True) as cluster:
        yield cluster


@pytest.fixture
def job(footage: Path, tmp_path: Path) -> Iterator[Run]:
    """The sweep, to be submitted."""
    run = write_sweep(footage, tmp_path)
    run.submitted = True
    yield run
    run.end()


def _driver(cluster: LocalCluster) -> int:
    """The process of the job's `python -m drivereplay`."""
    for pid in cluster.processes():
        try:
            words = psutil.Process(pid).cmdline()
        except psutil.Error:
            # workers come and go
            continue
        if words[1:4] == ["-m", "drivereplay", "sweep"]:
            return pid
    raise AssertionError("the job has no driver")


def test_a_worker_node_loses_its_power(job: Run, two_nodes: LocalCluster, undisturbed: Run) -> None:
    job.environment = two_nodes.environment
    job.start()
    job.in_the_middle_of("naive")
    two_nodes.kill_node(1)
    job.finish()
    job.equals(undisturbed)


def test_a_worker_node_is_cut_off_for_half_a_minute(job: Run, two_nodes: LocalCluster, undisturbed: Run) -> None:
    job.environment = two_nodes.environment
    job.start()
    job.in_the_middle_of("naive")
    two_nodes.cut(1)
    threading.Event().wait(30.0)
    two_nodes.join(1)
    job.finish()
    job.equals(undisturbed)


def test_the_jobs_driver_is_killed_and_the_same_call_resumes(job: Run, undisturbed: Run) -> None:
    with running(nodes=1, cpus=2) as cluster:
        job.environment = cluster.environment
        job.start()
        job.in_the_middle_of("replay-only")
        os.kill(_driver(cluster), signal.SIGKILL)
        assert job.wait() != 0
        job.finish()
        assert "resuming it" in job.log.read_text()
    job.equals(undisturbed)


def test_the_head_is_lost_and_a_new_cluster_goes_on(job: Run, undisturbed: Run) -> None:
    """All that the cluster knew is gone; the same call finds the run in the storage."""
    with running(nodes=1, cpus=2) as first:
        job.environment = first.environment
        job.start()
        job.in_the_middle_of("replay-only")
        first.kill_node(0)
        assert job.wait() != 0
    with running(nodes=1, cpus=2) as second:
        job.environment = second.environment
        job.finish()
    job.equals(undisturbed)


def test_a_nodes_clock_is_an_hour_ahead(job: Run, undisturbed: Run) -> None:
    """All trials run on the node whose clock is wrong; the driver and the storage have the right time."""
    if shutil.which("faketime") is None:
        pytest.skip("a clock of its own needs faketime (libfaketime)")
    with running(nodes=1, cpus=0) as cluster:
        cluster.add_node(cpus=2, prefix=["faketime", "-f", "+1h"])
        job.environment = cluster.environment
        job.finish()
    job.equals(undisturbed)
    seconds = [row.cost["total_s"] for row in CandidateTable.read(Storage.of(job.directory)) if row.kind != "base"]
    assert all(0 < value < 1800 for value in seconds), seconds
