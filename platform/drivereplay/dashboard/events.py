"""Event files of a sweep: one run for the sweep itself, one for each trial; local or on any storage."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.dashboard.animation import gif
from drivereplay.storage import Storage

SWEEP = "sweep"
TRIALS = "trials"


class EventFiles:
    """Writers below `<run>/tensorboard/`.

    On a local directory the sweep's writer stays open and is flushed. On other storage every use gives an event file of
    its own, which is uploaded when it is closed, because object stores cannot append.

    Args:
        directory: The run's directory.
    """

    def __init__(self, directory: Storage) -> None:
        self._storage = directory.below("tensorboard")
        self._open: dict[str, Any] = {}

    @contextmanager
    def run(self, name: str, *, keep: bool = False) -> Iterator[Any]:
        """A `SummaryWriter` of a TensorBoard run; what was written is on the storage afterwards.

        Args:
            name: The run, such as `sweep` or `trials/t0001`.
            keep: Leave the writer open for the next use, where the storage is local.
        """
        from torch.utils.tensorboard import SummaryWriter

        local = self._storage.local
        if local is None:
            with tempfile.TemporaryDirectory() as scratch:
                with SummaryWriter(scratch) as writer:
                    yield writer
                (file,) = Path(scratch).iterdir()
                self._storage.write(f"{name}/{_event_file_name()}", file.read_bytes())
            return
        writer = self._open.get(name) or SummaryWriter(str(local / name))
        if keep:
            self._open[name] = writer
        try:
            yield writer
        finally:
            if keep:
                writer.flush()
            else:
                writer.close()

    def close(self) -> None:
        """Close what is open; the files can be added to later."""
        for writer in self._open.values():
            writer.close()
        self._open.clear()


def _event_file_name() -> str:
    """A name that sorts behind all earlier ones.

    TensorBoard reads a run's files in the order of their names and never goes back. The writers' own names count whole
    seconds and then files without leading zeros, so that the tenth file of a second would be passed over.
    """
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return f"events.out.tfevents.{seconds}.{rest:09d}.{socket.gethostname()}.{os.getpid()}"


def add_animation(writer: Any, tag: str, frames: NDArray[np.uint8], fps: float, step: int) -> None:
    """(T, H, W, 3) uint8 as an animated image summary; torch's `add_video` would need moviepy for the same."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(
        height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=gif(frames, fps)
    )
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def add_hparams_columns(writer: Any, parameters: Mapping[str, bool], objectives: Mapping[str, str]) -> None:
    """The HParams tab's columns.

    Args:
        writer: A `SummaryWriter` of any run below the log directory.
        parameters: Name → whether it is a number; others are texts.
        objectives: Metric → `min` or `max`, said in the column's description.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    better = {"min": "lower is better", "max": "higher is better"}
    kinds = {True: api_pb2.DATA_TYPE_FLOAT64, False: api_pb2.DATA_TYPE_STRING}
    experiment = api_pb2.Experiment(
        hparam_infos=[api_pb2.HParamInfo(name=name, type=kinds[number]) for name, number in parameters.items()],
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name), display_name=name, description=better[direction])
            for name, direction in objectives.items()
        ],
    )
    _add_hparams(writer, metadata.EXPERIMENT_TAG, plugin_data_pb2.HParamsPluginData(experiment=experiment))


def add_hparams(writer: Any, parameters: Mapping[str, Any], trial: str, *, failed: bool) -> None:
    """One row of the HParams tab; its figures are the run's scalars."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

    values = {key: v if isinstance(v, bool | int | float | str) else str(v) for key, v in parameters.items()}
    writer._get_file_writer().add_summary(summary_v2.hparams_pb(values, trial_id=trial))
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    _add_hparams(writer, metadata.SESSION_END_INFO_TAG, plugin_data_pb2.HParamsPluginData(session_end_info=end))


def _add_hparams(writer: Any, tag: str, data: Any) -> None:
    """TensorBoard's own helper for these two (`hparams.summary`) needs TensorFlow."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    value = Summary.Value(tag=tag, tensor=metadata.NULL_TENSOR, metadata=metadata.create_summary_metadata(data))
    writer._get_file_writer().add_summary(Summary(value=[value]))
