"""Event files of a sweep: one run for the sweep itself, one for each trial; local or on any storage."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
                for file in sorted(Path(scratch).iterdir()):
                    self._storage.write(f"{name}/{file.name}", file.read_bytes())
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


def add_animation(writer: Any, tag: str, frames: NDArray[np.uint8], fps: float, step: int) -> None:
    """(T, H, W, 3) uint8 as an animated image summary; torch's `add_video` would need moviepy for the same."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(
        height=frames.shape[1], width=frames.shape[2], colorspace=3, encoded_image_string=gif(frames, fps)
    )
    writer._get_file_writer().add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def add_hparams_columns(writer: Any, parameters: Sequence[str], objectives: Mapping[str, str]) -> None:
    """The HParams tab's columns: searched keys, and the objectives with what is better in the description."""
    from tensorboard.plugins.hparams import api_pb2, summary

    better = {"min": "lower is better", "max": "higher is better"}
    columns = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name), display_name=name, description=better[direction])
        for name, direction in objectives.items()
    ]
    infos = [api_pb2.HParamInfo(name=name, display_name=name) for name in parameters]
    _add(writer, summary.experiment_pb(hparam_infos=infos, metric_infos=columns))


def add_hparams(writer: Any, parameters: Mapping[str, Any], trial: str, *, failed: bool) -> None:
    """One row of the HParams tab; its figures are the run's scalars."""
    from tensorboard.plugins.hparams import api_pb2, summary

    values = {key: v if isinstance(v, bool | int | float | str) else str(v) for key, v in parameters.items()}
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    _add(writer, summary.session_start_pb(values, group_name=trial))
    _add(writer, summary.session_end_pb(status))


def _add(writer: Any, summary: Any) -> None:
    writer._get_file_writer().add_summary(summary)
