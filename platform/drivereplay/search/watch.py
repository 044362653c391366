"""Notices that the cluster under a sweep has gone: Ray Tune itself would wait for it for ever."""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Callback

from drivereplay.errors import DriveReplayError

PATIENCE_S = 60.0
"""How long a cluster may have no living node before the sweep is ended."""
_EVERY_S = 5.0


class ClusterWatch(Callback):
    """Ends a sweep whose cluster has had no living node for `PATIENCE_S`.

    Ray Tune 2.60 goes on asking for the resources of such a cluster ("Cluster resources not detected") without an end.
    What it raises passes through Tune as it is.
    """

    def __init__(self) -> None:
        self._asked = 0.0
        self._last_seen = time.monotonic()

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune on every turn of its loop.

        Raises:
            DriveReplayError: The cluster is lost.
        """
        import ray

        now = time.monotonic()
        if now - self._asked < _EVERY_S:
            return
        self._asked = now
        if any(node["Alive"] for node in ray.nodes()):
            self._last_seen = now
        elif now - self._last_seen > PATIENCE_S:
            raise DriveReplayError(
                f"The Ray cluster has had no living node for {PATIENCE_S:.0f} s.",
                "What has finished is kept: go on with `drivereplay sweep EXPERIMENT --resume`.",
            )
