"""DriveReplay: how much replay, and of which other domains, keeps a driving video model's motion right.

The verbs of the command line as functions; each is imported when it is first used, so `import drivereplay` stays quick.

Examples:
    >>> import drivereplay
    >>> spec = drivereplay.load_spec("experiments/quickstart.yaml", ["training.steps=50"])  # doctest: +SKIP
    >>> front = drivereplay.sweep(spec)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from drivereplay._version import __version__

if TYPE_CHECKING:
    from drivereplay.api import (
        evaluate,
        evaluate_videos,
        front,
        generate,
        ingest,
        load_spec,
        plan,
        sweep,
        train,
        write_worlds,
    )

__all__ = [
    "__version__",
    "evaluate",
    "evaluate_videos",
    "front",
    "generate",
    "ingest",
    "load_spec",
    "plan",
    "sweep",
    "train",
    "write_worlds",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("drivereplay.api"), name)
    raise AttributeError(f"module 'drivereplay' has no attribute '{name}'")
