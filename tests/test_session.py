"""Reaching Ray from a process, and what is said when that fails."""

from __future__ import annotations

import inspect
import ipaddress
import os
import subprocess
import sys
from collections.abc import Iterable

import psutil
import pytest
from cluster.local.cluster import MARK, LocalCluster

from drivereplay.errors import DriveReplayError
from drivereplay.session import ensure_ray, limit_threads, quiet_ray_data


def test_a_running_session_is_used_as_it_is(ray_session: None) -> None:
    import ray

    before = ray.get_runtime_context().get_node_id()
    ensure_ray(num_cpus=1)
    assert ray.get_runtime_context().get_node_id() == before
    assert ray.cluster_resources()["CPU"] == 4


def listening_addresses(pids: Iterable[int]) -> dict[str, str]:
    """Address and port to the process, of all TCP sockets that accept connections."""
    connections = [c for pid in pids for c in psutil.Process(pid).net_connections("tcp")]
    return {f"{c.laddr.ip}:{c.laddr.port}": c.status for c in connections if c.status == psutil.CONN_LISTEN}


def on_loopback(address: str) -> bool:
    host = ipaddress.ip_address(address.rpartition(":")[0])
    mapped = getattr(host, "ipv4_mapped", None)
    return (mapped or host).is_loopback


def test_a_local_rays_ports_are_all_on_loopback(ray_session: None) -> None:
    import ray

    assert ray.get(ray.remote(lambda: 1).remote()) == 1  # a worker listens too
    # a local Ray's processes are children of the one that started it
    # as are those of the tests' local cluster, whose nodes have a mark
    own = [p for p in psutil.Process().children() if MARK not in p.environ()]
    children = [p.pid for child in own for p in (child, *child.children(recursive=True))]
    found = listening_addresses([os.getpid(), *children])
    assert len(found) >= 3
    assert [address for address in found if not on_loopback(address)] == []


@pytest.mark.parametrize(("failures", "starts"), [(0, 1), (2, 3), (9, 3)])
def test_a_busy_machine_gets_a_second_chance(failures: int, starts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray gives itself 30 seconds to start; its error has no name of its own."""
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    calls = []

    def start(num_cpus: int | None) -> None:
        calls.append(num_cpus)
        if len(calls) <= failures:
            raise Exception("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr("drivereplay.session._start", start)
    if failures >= starts:
        with pytest.raises(DriveReplayError, match="did not start on this machine, 3 times"):
            ensure_ray(2)
    else:
        ensure_ray(2)
    assert calls == [2] * starts


def test_another_error_of_ray_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def start(num_cpus: int | None) -> None:
        raise ValueError("no such option")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("drivereplay.session._start", start)
    with pytest.raises(ValueError, match="no such option"):
        ensure_ray()


def test_ray_data_still_has_what_makes_it_wait_and_it_is_made_short() -> None:
    from ray.data._internal.execution.resource_manager import ResourceManager

    assert "self.GLOBAL_LIMITS_UPDATE_INTERVAL_S" in inspect.getsource(ResourceManager.get_global_limits)
    quiet_ray_data()
    assert ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S == 0.1


def test_threads_are_limited() -> None:
    import cv2
    import torch

    before = (torch.get_num_threads(), cv2.getNumThreads())
    try:
        limit_threads(1)
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _joined(address: str, environment: dict[str, str], before: str = "") -> str:
    """What a fresh process says when it joins the cluster at an address."""
    join = "from drivereplay.session import ensure_ray\nensure_ray()"
    code = f"{before}\n{join}\nimport ray; print(len(ray.nodes()), 'node')"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | environment | {"RAY_ADDRESS": address}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379"])
def test_nothing_at_the_address_is_said_at_once(address: str) -> None:
    assert "SpecError: RAY_ADDRESS: no Ray cluster answers at" in _joined(address, {})


@pytest.mark.slow
def test_a_cluster_is_joined_and_a_wrong_token_or_version_is_said(local_cluster: LocalCluster) -> None:
    right = {k: v for k, v in local_cluster.environment.items() if k != "RAY_API_SERVER_ADDRESS"}
    assert "1 node" in _joined(local_cluster.gcs, right)
    wrong = _joined(local_cluster.gcs, {**right, "RAY_AUTH_TOKEN": "0" * 64})
    assert "SpecError: RAY_ADDRESS: the cluster at" in wrong and "RAY_AUTH_TOKEN" in wrong
    other = _joined(local_cluster.gcs, right, before="import ray; ray.__version__ = '2.51.0'")
    assert "Version mismatch" in other and "2.51.0" in other and "2.60.0" in other
