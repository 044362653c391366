"""Where scoring runs: in this process, or spread over Ray's cores where Ray is up and the work is worth a task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from drivereplay.domains.recording import Clip

PAYS_PIXELS = 8_000_000
"""Pixels in a batch (clips × frames × height × width) from which a Ray task is worth its hand-over."""


class Workers:
    """Runs one function per batch and hands the results on in the order the batches were put in.

    Args:
        take: Called with each result.
        cpus: CPUs reserved for each task; small by default because the caller usually holds CPUs itself.
        ahead: Batches in flight before `put` waits, so that memory does not grow with the number of batches.
    """

    def __init__(self, take: Callable[[Any], None], *, cpus: float = 0.25, ahead: int = 8) -> None:
        self._take = take
        self._cpus = cpus
        self._ahead = ahead
        self._pending: deque[Any] = deque()
        self._remote: Any = None

    def put(self, function: Callable[..., Any], clips: Sequence[Clip], *arguments: Any) -> None:
        """Run `function(clips, *arguments)` now or soon."""
        pixels = sum(clip.frames.shape[0] * clip.frames.shape[1] * clip.frames.shape[2] for clip in clips)
        if pixels < PAYS_PIXELS or not _ray_is_up():
            self.finish()
            self._take(function(clips, *arguments))
            return
        import ray

        if self._remote is None:
            self._remote = ray.remote(num_cpus=self._cpus, max_retries=2)(_call)
        self._drain(self._ahead - 1)
        self._pending.append(self._remote.remote(function, clips, *arguments))

    def finish(self) -> None:
        """Wait for everything that is under way."""
        self._drain(0)

    def _drain(self, most: int) -> None:
        if len(self._pending) <= most:
            return
        import ray

        while len(self._pending) > most:
            self._take(ray.get(self._pending.popleft()))


def _call(function: Callable[..., Any], clips: Sequence[Clip], *arguments: Any) -> Any:
    return function(clips, *arguments)


def _ray_is_up() -> bool:
    import sys

    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
