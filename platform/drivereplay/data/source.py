"""The sampling plan as a Ray Data source: each read task decodes one block of plan rows."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import ray
from ray.data.block import Block, BlockAccessor, BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from drivereplay.data.stream import Work
from drivereplay.session import hasten_ray_data


class PlanSource(Datasource):
    """Gives blocks in plan order (with `preserve_order`), one read task for each."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._blocks = work.blocks
        self._rows = work.block_rows
        self._bytes = work.row_bytes
        self._work = ray.put(work)

    def get_name(self) -> str:
        """Name of the operator in Ray's dashboard."""
        return "SamplingPlan"

    def estimate_inmemory_data_size(self) -> int | None:
        """Bytes of all decoded frames."""
        return sum(self._rows) * self._bytes

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """One task for each block, whatever `parallelism` is."""
        # this is the process that runs the tasks; with Ray Train it is not the one that made the data set
        hasten_ray_data()
        return [
            ReadTask(
                functools.partial(_read, self._work, block),
                BlockMetadata(num_rows=rows, size_bytes=rows * self._bytes, input_files=None, exec_stats=None),
            )
            for block, rows in enumerate(self._rows)
        ]


def _read(work: Any, block: int) -> Iterable[Block]:
    yield BlockAccessor.batch_to_block(_opened(work).decoded(block))


@functools.lru_cache(maxsize=2)
def _opened(work: Any) -> Work:
    """Kept by a process from block to block: the plan then deals on from where it was."""
    import cv2

    # a task has its share of the cores; rendering a world calls OpenCV for every face
    cv2.setNumThreads(1)
    task: Work = ray.get(work)
    return task
