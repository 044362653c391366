"""Fixtures of all tests: one Ray for the session, real clips where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clusters import local_cluster, reach
from tests.s3 import s3_server

__all__ = ["local_cluster", "reach", "s3_server"]

# before anything imports them: every worker process of Ray would otherwise start a thread per core
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
# a cluster that the user may have running is none of the tests' business
os.environ.pop("RAY_ADDRESS", None)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A local Ray with four logical CPUs, whatever the machine has, so that four workers can be tested."""
    import ray

    from drivereplay.session import ensure_ray

    ensure_ray(num_cpus=4)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The project's directory."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings beside the project; they are not part of it."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"the real recordings are not on this machine ({path})")
    return path
