"""Reaching Ray: the cluster the user points at, or a local one of this process's own."""

from __future__ import annotations

import logging
import os
import socket

from drivereplay.errors import SpecError


def ensure_ray(num_cpus: int | None = None) -> None:
    """Connect to Ray once per process.

    A running session is used as it is. With `RAY_ADDRESS` set (as inside a Ray job) that cluster is joined. Otherwise a
    local one is started for this process alone; a cluster that somebody else started on this machine is left in peace.

    Args:
        num_cpus: CPUs of a local cluster; None takes what the machine has.

    Raises:
        SpecError: `RAY_ADDRESS` names a cluster that does not answer, refuses the token, or runs another Ray or Python.
    """
    # Tune and Train print their own progress otherwise, and a metric without a checkpoint is no error for us;
    # a busy machine takes longer than Ray's usual patience to start
    environment = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_TRAIN_V2_ENABLED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "RAY_raylet_start_wait_time_s": "180",
    }
    for key, value in environment.items():
        os.environ.setdefault(key, value)

    import ray

    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    if address:
        _join(address)
        return
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )


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
