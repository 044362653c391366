"""The ledger: every sample that a run was trained on, in order.

While a run goes on, each checkpoint closes one part `ledger/<first step>-<end step>.parquet`; the end of the run joins
them to `ledger.parquet`. A part exists before its checkpoint does, so a resume at step k drops the parts beyond k and
the ledger is again what the weights have seen.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.data.batch import Batch

LEDGER = "ledger.parquet"
PARTS = "ledger"

SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("slot", pa.int32()),
        ("rank", pa.int32()),
        ("sample", pa.int64()),
        ("domain", pa.string()),
        ("clip", pa.int64()),
        ("key", pa.string()),
        ("start_s", pa.float64()),
        ("replaced", pa.bool_()),
    ]
)
"""Columns: step and slot within it, the worker's rank, the global sample number, the domain's name, the clip's number
in its domain's training split, the recording's key, the clip's start in seconds, and whether it replaces a bad clip."""

Row = tuple[int, int, int, int, int, int, bool]
"""step, slot, rank, sample, domain number, clip, replaced."""


def rows_of(batch: Batch, rank: int) -> list[Row]:
    """The ledger's rows of one worker's batch."""
    columns = (batch.slot, batch.sample, batch.domain, batch.clip, batch.replaced)
    return [
        (int(batch.step), int(slot), rank, int(sample), int(domain), int(clip), bool(replaced))
        for slot, sample, domain, clip, replaced in zip(*(np.asarray(c) for c in columns), strict=True)
    ]


class Ledger:
    """Writes the ledger of one run; one process does it for all workers.

    Args:
        directory: The run's directory.
        domains: Names by domain number.
        window: Domain number and clip → (recording key, start in seconds).
    """

    def __init__(self, directory: Storage, domains: list[str], window: Callable[[int, int], tuple[str, float]]) -> None:
        self.directory = directory
        self.domains = domains
        self.window = window

    def begin(self, step: int) -> None:
        """Forget everything from `step` on; 0 begins a new ledger."""
        if step and self.directory.exists(LEDGER):
            joined = read_ledger(self.directory)
            self.directory.delete(PARTS)
            self._write(f"{PARTS}/{_part_name(0, step)}", joined.filter(pc.less(joined["step"], step)))
        # only now: as long as it is there, it is what counts
        self.directory.delete(LEDGER)
        for name in self.directory.names(PARTS):
            if _steps(name)[1] > step:
                self.directory.delete(f"{PARTS}/{name}")

    def close_part(self, first: int, end: int, rows: Iterable[Row]) -> None:
        """Write the rows of steps first … end−1."""
        ordered = sorted(rows)
        where = {(r[4], r[5]): ("", 0.0) for r in ordered}
        for key in where:
            where[key] = self.window(*key)
        names = [self.domains[r[4]] for r in ordered]
        places = [where[r[4], r[5]] for r in ordered]
        columns: list[Any] = [[r[i] for r in ordered] for i in range(4)]
        columns += [names, [r[5] for r in ordered], [p[0] for p in places], [p[1] for p in places]]
        columns.append([r[6] for r in ordered])
        self._write(f"{PARTS}/{_part_name(first, end)}", pa.table(columns, schema=SCHEMA))

    def finish(self) -> None:
        """Join the parts to `ledger.parquet`."""
        self._write(LEDGER, read_ledger(self.directory))
        self.directory.delete(PARTS)

    def _write(self, relative: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        self.directory.write(relative, sink.getvalue())


def read_ledger(directory: Storage) -> pa.Table:
    """The ledger of a run, finished or not, ordered by step and slot."""
    if directory.exists(LEDGER):
        return pq.read_table(io.BytesIO(directory.read(LEDGER)), schema=SCHEMA)
    names = sorted(directory.names(PARTS), key=_steps)
    tables = [pq.read_table(io.BytesIO(directory.read(f"{PARTS}/{name}")), schema=SCHEMA) for name in names]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _part_name(first: int, end: int) -> str:
    return f"{first:010d}-{end:010d}.parquet"


def _steps(name: str) -> tuple[int, int]:
    first, end = name.removesuffix(".parquet").split("-")
    return int(first), int(end)
