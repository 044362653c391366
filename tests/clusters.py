"""A real Ray cluster beside the tests' own session: for jobs, and for what is said when a cluster cannot be joined."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cluster.local.cluster import LocalCluster, running


@pytest.fixture(scope="session")
def local_cluster() -> Iterator[LocalCluster]:
    """One node of the local cluster script, with a token; ended with all its processes after the tests."""
    with running(nodes=1, cpus=2) as cluster:
        yield cluster


@pytest.fixture
def reach(local_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    """The cluster, with the environment that a user would have exported."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in local_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return local_cluster
