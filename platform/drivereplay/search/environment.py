"""`environment.json`: versions, commit, hardware and seeds behind a run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import drivereplay
from drivereplay.errors import DriveReplayError
from drivereplay.spec import Spec
from drivereplay.storage import Storage

_PACKAGES = (
    "ray", "torch", "diffusers", "transformers", "peft", "optuna", "moocore", "numpy", "pyarrow", "decord", "av",
    "opencv-python-headless",
)  # fmt: skip


ENVIRONMENT = "environment.json"


def read_decided(storage: Storage) -> dict[str, Any]:
    """What a sweep decided when it began, from its `environment.json`; empty if there is none.

    Raises:
        DriveReplayError: The file does not hold what a run writes.
    """
    if not storage.exists(ENVIRONMENT):
        return {}
    try:
        decided = dict(json.loads(storage.read(ENVIRONMENT)).get("search", {}))
        return {**decided, **{key: int(decided[key]) for key in ("lag", "concurrent") if key in decided}}
    except (ValueError, TypeError, AttributeError) as error:
        raise DriveReplayError(
            f"{storage.uri}/{ENVIRONMENT} does not hold what a run writes: {error}.",
            "Move it away: it is written anew, and a resumed sweep takes this cluster's number of trials at a time.",
        ) from error


def environment(spec: Spec, **more: Any) -> dict[str, Any]:
    """What has to be known to run the same thing again.

    Args:
        spec: The experiment; its seeds are named.
        more: Further sections.
    """
    return {
        "drivereplay": drivereplay.__version__,
        "commit": _commit(),
        "python": sys.version.split()[0],
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
            "memory_bytes": _memory_bytes(),
        },
        "cluster": _cluster(),
        "seeds": {"experiment": spec.seed, "evaluation": spec.evaluation.seed},
        **more,
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Of the checkout this package runs from; None for an installed one."""
    here = Path(drivereplay.__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


def _cluster() -> list[dict[str, float]]:
    """Resources of the connected Ray cluster's nodes; empty without one."""
    import ray

    if not ray.is_initialized():
        return []
    return [
        {key: float(value) for key, value in node["Resources"].items() if not key.startswith("node:")}
        for node in ray.nodes()
        if node["Alive"]
    ]
