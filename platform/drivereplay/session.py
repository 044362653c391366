"""Reaching Ray: the cluster the user points at, or a local one of this process's own."""

from __future__ import annotations

import logging
import os


def ensure_ray(num_cpus: int | None = None) -> None:
    """Connect to Ray once per process.

    A running session is used as it is. With `RAY_ADDRESS` set (as inside a Ray job) that cluster is joined. Otherwise a
    local one is started for this process alone; a cluster that somebody else started on this machine is left in peace.

    Args:
        num_cpus: CPUs of a local cluster; None takes what the machine has.
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
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        return
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
    )


def limit_threads(threads: int = 1) -> None:
    """Keep torch and OpenCV from taking every core in each of many worker processes."""
    import cv2
    import torch

    torch.set_num_threads(max(1, threads))
    cv2.setNumThreads(max(1, threads))
