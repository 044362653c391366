"""Failures of the environment, which a trial is not to blame for: they are tried again."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from drivereplay.storage import is_away

RETRIES = 3
"""Further attempts at a trial that the environment has ended, before the sweep itself ends and waits to be resumed."""
PAUSES_S = (0.0, 1.0, 10.0, 60.0)
"""Waited before the driver hears of the first, second, ... failure of a trial."""
_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY}
# by name: Ray need not be imported to recognise its errors
_OF_RAY = {
    "NodeDiedError", "LocalRayletDiedError", "RaySystemError", "OutOfMemoryError", "OutOfDiskError", "ObjectLostError",
    "ObjectReconstructionFailedError", "OwnerDiedError", "ObjectFetchTimedOutError", "ObjectStoreFullError",
    "RpcError", "ActorUnschedulableError", "ActorUnavailableError",
}  # fmt: skip
_OTHERS_SHARE = 0.1
"""Other processes are to blame for a full memory if they hold more than this share of it."""


def environment_failure(error: BaseException) -> str:
    """What failed, if it was the environment: disk, storage, a lost node, memory that another process holds.

    Returns:
        One line, or an empty text for a failure of the trial's own.
    """
    for one in _causes(error):
        if _is_of_environment(one):
            return f"{type(one).__name__}: {one}".splitlines()[0]
    return ""


def _is_of_environment(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _ERRNOS or is_away(error) or isinstance(error, ConnectionError | TimeoutError)
    name, module = type(error).__name__, type(error).__module__
    if module.startswith("ray."):
        return name in _OF_RAY or (name in ("RayActorError", "ActorDiedError") and "node" in str(error).lower())
    if isinstance(error, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return _memory_is_taken()
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it, those that Ray carries over from other processes among them."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__, getattr(one, "cause", None)]


def _memory_is_taken() -> bool:
    """Whether other processes hold a good part of this machine's or this GPU's memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return bool((total - free - torch.cuda.memory_reserved()) / total > _OTHERS_SHARE)
    try:
        meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return False
    total, available = (int(meminfo[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    own = pages * os.sysconf("SC_PAGE_SIZE")
    return (total - available - own) / total > 0.5
