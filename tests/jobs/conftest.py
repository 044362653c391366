"""A real Ray cluster of one node, with a token, for the tests of jobs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def load_cluster_module(root: Path) -> ModuleType:
    """`cluster/local/cluster.py` is a script outside the package."""
    name = "drivereplay_local_cluster"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, root / "cluster" / "local" / "cluster.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="package")
def local_cluster(project_root: Path) -> Iterator[Any]:
    """One node of the local cluster script; ended with all its processes after the package's tests."""
    module = load_cluster_module(project_root)
    with module.running(nodes=1, cpus=2) as cluster:
        yield cluster


@pytest.fixture
def reach(local_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The cluster, with the environment that a user would have exported."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in local_cluster.environment.items():
        monkeypatch.setenv(name, value)
    return local_cluster


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A small experiment file with a relative source and a relative storage."""
    (tmp_path / "clips").mkdir()
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\nstorage: runs\n"
        "target: {name: driving, source: {kind: videos, path: clips}}\n"
        "replay:\n  frequency: 0.5\n  domains:\n"
        "    - {name: shapes, source: {kind: world, world: shapes, clips: 4}}\n",
        encoding="utf-8",
    )
    return file
