"""Reaching Ray: the cluster the user points at, or a local one of this process's own."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator

from drivereplay.errors import DriveReplayError, SpecError


def ensure_ray(num_cpus: int | None = None) -> None:
    """Connect to Ray once per process.

    A running session is used as it is. With `RAY_ADDRESS` set (as inside a Ray job) that cluster is joined. Otherwise a
    local one is started for this process alone; a cluster that somebody else started on this machine is left in peace.

    Args:
        num_cpus: CPUs of a local cluster; None takes what the machine has.

    Raises:
        SpecError: `RAY_ADDRESS` names a cluster that does not answer, refuses the token, or runs another Ray or Python.
    """
    import ray

    if ray.is_initialized():
        return
    # Tune and Train print their own progress otherwise, and a metric without a checkpoint is no error for us
    environment = {"RAY_AIR_NEW_OUTPUT": "0", "RAY_TRAIN_V2_ENABLED": "1", "TOKENIZERS_PARALLELISM": "false"}
    for key, value in environment.items():
        os.environ.setdefault(key, value)
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _join(address)
        return
    for attempt in range(_STARTS):
        try:
            _start(num_cpus)
            return
        # Ray has no name of its own for this error (`ray._private.node.Node`), nor a setting for its 30 seconds
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            if attempt + 1 == _STARTS:
                raise DriveReplayError(
                    f"Ray did not start on this machine, {_STARTS} times: {_line(error)}",
                    "Is it very busy, or out of memory? `drivereplay doctor` looks.",
                ) from error


_STARTS = 3


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that is started inside listen on 127.0.0.1 alone.

    Ray on Linux replaces a loopback address by the machine's own, and then its metrics, which ask for no token, can be
    read from the network. It keeps to loopback where it cannot have a second node (ray-project/ray#18730), as on macOS.
    """
    from ray._private import ray_constants

    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    before, enabled = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = enabled
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _start(num_cpus: int | None) -> None:
    with _on_loopback():
        _init(num_cpus)


def _init(num_cpus: int | None) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        # the only node is on this machine: that it answers late on a busy one does not mean that it is lost
        _system_config={"health_check_timeout_ms": 60_000, "health_check_failure_threshold": 10},
    )


def quiet_ray_data() -> None:
    """No bars and no log lines for the start and end of every Ray Data execution: a sweep has thousands of them."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    hasten_ray_data()


_LIMITS_EVERY_S = 0.1


def hasten_ray_data() -> None:
    """Let the Ray Data executions of this process use all cores from the start, and not one for the first second.

    Ray 2.60 asks what resources there are, does not wait for the answer, takes them for none until it asks again a
    second later, and meanwhile runs one task at a time.
    """
    # an inner part of Ray: where another version has it not, that second is lost and nothing else
    with contextlib.suppress(ImportError, AttributeError):
        from ray.data._internal.execution import resource_manager

        resource_manager.ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = _LIMITS_EVERY_S


def _join(address: str) -> None:
    import ray
    from ray.exceptions import AuthenticationError

    host, colon, port = address.rpartition(":")
    if colon and port.isdigit() and "/" not in host:
        try:
            # where nothing listens Ray itself would try for minutes
            with socket.create_connection((host.strip("[]"), int(port)), timeout=10.0):
                pass
        except (OSError, OverflowError) as error:
            raise SpecError(f"RAY_ADDRESS: no Ray cluster answers at {address}: {error}.", _ADDRESS_FIX) from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (AuthenticationError, ConnectionError) as error:
        # something listens there, and Ray does not say what it was refused for
        raise SpecError(f"RAY_ADDRESS: the cluster at {address} refused: {_line(error)}", _TOKEN_FIX) from error
    except (RuntimeError, ValueError) as error:
        raise SpecError(f"RAY_ADDRESS: no joining the cluster at {address}: {_line(error)}", _ADDRESS_FIX) from error


def _line(error: Exception) -> str:
    """A message of several lines as one; a mismatch of versions comes as a list with both of them."""
    return " ".join(str(error).split())


_ADDRESS_FIX = "Correct RAY_ADDRESS, unset it to run on this machine alone, or use `drivereplay submit`."
_TOKEN_FIX = (
    "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) as on the head, "
    "and see that the port is the cluster's (6379 by default), not the dashboard's."
)


def limit_threads(threads: int = 1) -> None:
    """Keep torch and OpenCV from taking every core in each of many worker processes."""
    import cv2
    import torch

    torch.set_num_threads(max(1, threads))
    cv2.setNumThreads(max(1, threads))
