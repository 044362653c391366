"""The multi-node cluster on one machine, really run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster.local.cluster import MARK, ClusterError, LocalCluster, can_isolate, free_ports, running, start, until


def test_the_cluster_carries_its_mark_and_its_token(local_cluster: LocalCluster) -> None:
    token = Path(local_cluster.directory) / "token"
    assert token.stat().st_mode & 0o777 == 0o600 and len(local_cluster.token) == 64
    assert len(local_cluster.processes()) > 3
    assert local_cluster.processes() == local_cluster.processes(0)
    assert os.getpid() not in local_cluster.processes()
    assert LocalCluster.load(local_cluster.directory).gcs == local_cluster.gcs


def test_a_second_cluster_in_the_same_place_is_refused(local_cluster: LocalCluster) -> None:
    with pytest.raises(ClusterError, match="runs in"):
        start(local_cluster.directory)


def test_a_cluster_that_was_never_started_is_said(tmp_path: Path, project_root: Path) -> None:
    script = project_root / "cluster" / "local" / "cluster.py"
    done = subprocess.run(
        [sys.executable, script, "--directory", tmp_path, "stop"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "No local cluster has been started" in done.stderr


def test_waiting_in_vain_is_an_error() -> None:
    with pytest.raises(ClusterError, match="in vain for rain"):
        until(lambda: False, 0.1, "rain")


def test_free_ports_differ() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    # neither a port of Ray's workers nor one that an outgoing connection could take in the meantime
    assert min(ports) >= 20_000 and max(ports) < 32_768


def test_each_node_unpacks_a_jobs_files_in_a_place_of_its_own() -> None:
    for isolated in (True, False):
        cluster = LocalCluster(id="abc123", directory="/nowhere", isolated=isolated)
        assert cluster.temporary(0) != cluster.temporary(1)
        assert Path(cluster.temporary(0)).parent == Path(cluster.temporary(1)).parent == Path(cluster.temporary())


def test_a_node_on_the_machines_own_network_cannot_be_cut(local_cluster: LocalCluster) -> None:
    with pytest.raises(ClusterError, match="--isolated"):
        local_cluster.cut(0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nodes_come_go_and_lose_their_network() -> None:
    if not can_isolate():
        pytest.skip("network namespaces need root and iproute2")
    before = _marked()
    with running(nodes=2, cpus=1, isolated=True) as cluster:
        assert cluster.alive() == 2
        cluster.cut(1)
        until(lambda: cluster.alive() == 1, 120, "the cut node to be counted out")
        cluster.join(1)
        number = cluster.add_node(cpus=1)
        assert cluster.alive() == 2
        cluster.kill_node(number)
        until(lambda: cluster.alive() == 1, 120, "the killed node to be counted out")
        name = cluster.id
    assert _marked() == before
    names = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert name not in names


def _marked() -> set[str]:
    """Marks of the local clusters that run on this machine."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        found |= {v.decode() for v in variables if v.startswith(MARK.encode() + b"=")}
    return found
