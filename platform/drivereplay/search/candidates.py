"""Candidates: evaluated checkpoints, and the table that never loses one."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drivereplay.errors import DriveReplayError
from drivereplay.evaluation.draws import ClipFigures
from drivereplay.evaluation.report import Estimate
from drivereplay.storage import Storage

Status = Literal["running", "finished", "stopped", "failed"]
TABLE = "candidates.parquet"
OF_TRIAL = "candidates.json"
_BUSY_SHARE = 0.05


@dataclass(frozen=True)
class Candidate:
    """One evaluated checkpoint of one trial, or a trial that gave none (step -1, status `failed`).

    Attributes:
        trial: Id of the trial; its directory is `trials/<trial>`.
        step: Optimiser steps behind the checkpoint; 0 is the base, -1 means that there is no checkpoint.
        seed: Seed of the run (`seed` of the experiment file).
        kind: An anchor's name (`base`, `naive`, `replay-only`, `equal`), `trial`, `replicate` or `proposal`.
        parameters: Dotted key of the experiment file → value, as searched.
        metrics: Metric name → estimate with its interval.
        cost: `train_s`, `evaluate_s`, `device_hours` and the like, summed from the start of the trial.
        protocol: Hash of the protocol behind the metrics.
        status: `running` until its trial ends; then `finished`, `stopped` (early, by the scheduler) or `failed`.
            Only finished candidates can be on the front.
        reason: Why it failed or was stopped.
        setting: The trial whose setting this one repeats with another seed; its own id otherwise.
        variant: Empty, or what was done to the checkpoint before evaluation (`wise-ft 0.5`).
        checkpoint: Path below the run's directory; empty if none was kept.
        trained: Hash of what it was trained with, without the searched values (`same.trained_with`); empty if unknown.
        figures: Objective or constraint → its figures clip by clip, from which paired draws are made
            (`evaluation.draws`); empty where the runner gives no report.
    """

    trial: str
    step: int
    seed: int
    kind: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    protocol: str = ""
    status: Status = "running"
    reason: str = ""
    setting: str = ""
    variant: str = ""
    checkpoint: str = ""
    trained: str = ""
    figures: Mapping[str, ClipFigures] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Unique within a sweep: `t0007@200`."""
        return f"{self.trial}@{self.step}" + (f"+{self.variant}" if self.variant else "")

    def values(self, objectives: Sequence[str]) -> tuple[float, ...]:
        """The objectives' figures in their own units; NaN where one is missing."""
        return tuple(self.metrics[name].mean if name in self.metrics else math.nan for name in objectives)

    def to_json(self, *, by_clip: bool = False) -> dict[str, Any]:
        """Plain JSON data; figures that are not finite become null.

        Args:
            by_clip: With the figures clip by clip.
        """
        data = {name: getattr(self, name) for name in _PLAIN}
        data["parameters"] = dict(self.parameters)
        data["cost"] = {key: _finite(value) for key, value in self.cost.items()}
        data["metrics"] = {
            key: {"mean": _finite(e.mean), "low": _finite(e.low), "high": _finite(e.high), "n": e.n}
            for key, e in self.metrics.items()
        }
        if by_clip:
            data["figures"] = {key: figures.to_json() for key, figures in self.figures.items()}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Candidate:
        """The inverse of `to_json`; null figures become NaN."""
        metrics = {
            key: Estimate(_number(e["mean"]), _number(e["low"]), _number(e["high"]), int(e["n"]))
            for key, e in data["metrics"].items()
        }
        cost = {key: _number(value) for key, value in data["cost"].items()}
        figures = {key: ClipFigures.from_json(found) for key, found in data.get("figures", {}).items()}
        plain = {name: data.get(name, "") for name in _PLAIN}
        return cls(parameters=dict(data["parameters"]), metrics=metrics, cost=cost, figures=figures, **plain)


_WRONG = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a file of another content leads to, when it can be parsed."""
_PLAIN = (
    "trial",
    "step",
    "seed",
    "kind",
    "protocol",
    "status",
    "reason",
    "setting",
    "variant",
    "checkpoint",
    "trained",
)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


class CandidateTable:
    """`candidates.parquet`: one row per evaluated checkpoint, each name once.

    The file is replaced as a whole, so that a reader never sees half of it. Rewriting takes longer as it grows; with
    `lazy=True` a write waits until rewriting would take at most a twentieth of the time, and `flush` writes what
    waits. A sweep does that because each trial's own `candidates.json`, written by its worker before the driver hears
    of it, is enough to complete the table after a kill (see `recover`).

    Args:
        storage: Directory of the run.
        lazy: Put writes off as described.
    """

    def __init__(self, storage: Storage, *, lazy: bool = False) -> None:
        self._storage = storage
        self._lazy = lazy
        self._rows: dict[str, Candidate] = {}
        # names by trial: a sweep asks for a trial's rows with every result
        self._names: dict[str, dict[str, None]] = {}
        self._dirty = False
        self._written_at = -math.inf
        self._write_s = 0.0
        if storage.exists(TABLE):
            self._put({candidate.name: candidate for candidate in _parsed(storage)})

    @classmethod
    def read(cls, storage: Storage) -> tuple[Candidate, ...]:
        """All candidates in the file, in the order in which they were appended; empty if there is no file."""
        return cls(storage).candidates

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All rows, waiting ones included."""
        return tuple(self._rows.values())

    def of_trial(self, trial: str) -> tuple[Candidate, ...]:
        """The rows of one trial."""
        return tuple(self._rows[name] for name in self._names.get(trial, ()))

    def append(self, candidates: Iterable[Candidate]) -> None:
        """Add candidates; one whose name is already there takes the old one's place (its status may have changed)."""
        changed = {row.name: row for row in candidates if self._rows.get(row.name) != row}
        if not changed:
            return
        self._put(changed)
        self._dirty = True
        due = time.monotonic() - self._written_at >= self._write_s / _BUSY_SHARE
        if due or not self._lazy:
            self.flush()

    def settle(self, trial: str, status: Status, reason: str = "") -> tuple[Candidate, ...]:
        """Give all running rows of a trial that has ended their final status; returns the trial's rows."""
        rows = self.of_trial(trial)
        self.append(replace(row, status=status, reason=reason) for row in rows if row.status == "running")
        return self.of_trial(trial)

    def forget(self, candidates: Iterable[Candidate]) -> None:
        """Remove rows, of an attempt at a trial that is begun anew."""
        for row in candidates:
            del self._rows[row.name], self._names[row.trial][row.name]
            self._dirty = True

    def recover(self) -> int:
        """Take up what trials wrote and the file lacks; returns how many rows were added or changed."""
        before = dict(self._rows)
        found: list[Candidate] = []
        for trial in self._storage.names("trials"):
            found += trial_candidates(self._storage.below("trials", trial))
        self.append(row for row in found if row.name not in before or _newer(row, before[row.name]))
        return sum(1 for name, row in self._rows.items() if before.get(name) != row)

    def _put(self, rows: Mapping[str, Candidate]) -> None:
        self._rows.update(rows)
        for name, row in rows.items():
            self._names.setdefault(row.trial, {})[name] = None

    def flush(self) -> None:
        """Write the file if rows wait."""
        if not self._dirty:
            return
        started = time.monotonic()
        sink = io.BytesIO()
        pq.write_table(_table(tuple(self._rows.values())), sink, compression="zstd", write_page_checksum=True)
        self._storage.write(TABLE, sink.getvalue())
        self._dirty = False
        self._written_at = time.monotonic()
        self._write_s = self._written_at - started


def _newer(written: Candidate, row: Candidate) -> bool:
    """Whether a trial has written of a row's end after the table's file was; a stopped trial may have gone on."""
    return row.status == "running" or (row.status == "stopped" and written.status in ("finished", "failed"))


def trial_candidates(directory: Storage) -> tuple[Candidate, ...]:
    """What the worker of a trial has written to its `candidates.json`; empty if there is none."""
    if not directory.exists(OF_TRIAL):
        return ()
    try:
        return tuple(Candidate.from_json(item) for item in json.loads(directory.read(OF_TRIAL)))
    except _WRONG as error:
        raise DriveReplayError(
            f"{directory.uri}/{OF_TRIAL} does not hold what a trial writes: {type(error).__name__}: {error}.",
            "Delete the trial's directory to run it again.",
        ) from error


def write_trial_candidates(directory: Storage, candidates: Sequence[Candidate]) -> None:
    """Write a trial's `candidates.json` as a whole."""
    text = json.dumps([candidate.to_json(by_clip=True) for candidate in candidates], indent=1, allow_nan=False)
    directory.write(OF_TRIAL, text.encode())


def _table(rows: Sequence[Candidate]) -> pa.Table:
    """One flat column per metric and interval end, so that any Parquet tool can plot them."""
    columns: dict[str, pa.Array] = {}
    for name in _PLAIN:
        kind = pa.int64() if name in ("step", "seed") else pa.string()
        columns[name] = pa.array([getattr(row, name) for row in rows], kind)
    columns["parameters"] = pa.array([json.dumps(dict(row.parameters)) for row in rows], pa.string())
    for metric in _names(row.metrics for row in rows):
        found = [row.metrics.get(metric) for row in rows]
        columns[metric] = pa.array([None if e is None else e.mean for e in found], pa.float64())
        columns[f"{metric}.low"] = pa.array([None if e is None else e.low for e in found], pa.float64())
        columns[f"{metric}.high"] = pa.array([None if e is None else e.high for e in found], pa.float64())
        columns[f"{metric}.n"] = pa.array([None if e is None else e.n for e in found], pa.int64())
    for metric in _names(row.figures for row in rows):
        by_clip = [row.figures.get(metric) for row in rows]
        columns[f"{metric}.clips"] = _lists([None if f is None else f.values for f in by_clip])
        columns[f"{metric}.units"] = _repeated([None if f is None else f.units for f in by_clip])
    for item in _names(row.cost for row in rows):
        columns[f"cost.{item}"] = pa.array([row.cost.get(item) for row in rows], pa.float64())
    return pa.table(columns)


def _lists(values: Sequence[NDArray[np.float64] | None]) -> pa.Array:
    """A column of lists of numbers; value by value Arrow takes ten times as long."""
    lengths = [0 if one is None else len(one) for one in values]
    known = [one for one in values if one is not None]
    missing = pa.array([one is None for one in values] + [False])
    offsets = pa.array(np.r_[0, np.cumsum(lengths)].astype(np.int32), mask=np.asarray(missing))
    return pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(known) if known else np.zeros(0)))


def _repeated(values: Sequence[tuple[tuple[str, str], ...] | None]) -> pa.Array:
    """A column of clips' names as JSON text, each text there once."""
    texts: dict[str, int] = {}
    seen: dict[int, int] = {}  # candidates share their clips' names, which would take long to compare
    numbers: list[int | None] = []
    for one in values:
        if one is None:
            numbers.append(None)
            continue
        if id(one) not in seen:
            seen[id(one)] = texts.setdefault(json.dumps(one), len(texts))
        numbers.append(seen[id(one)])
    return pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), pa.array(list(texts), pa.string()))


@lru_cache(maxsize=64)
def _units(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((group, clip) for group, clip in json.loads(text))


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _parsed(storage: Storage) -> list[Candidate]:
    try:
        table = pq.read_table(io.BytesIO(storage.read(TABLE)), page_checksum_verification=True)
        names = set(table.column_names)
        metrics = [name for name in table.column_names if f"{name}.low" in names]
        costs = [name for name in table.column_names if name.startswith("cost.")]
        return [_row(row, metrics, costs) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, *_WRONG) as error:
        raise DriveReplayError(
            f"{storage.uri}/{TABLE} cannot be read: {error}.",
            "Move it away and run `drivereplay sweep --resume`: it is rebuilt from the trials' directories.",
        ) from error


def _row(row: Mapping[str, Any], metrics: Sequence[str], costs: Sequence[str]) -> Candidate:
    return Candidate(
        parameters=json.loads(row["parameters"]),
        metrics={
            name: Estimate(
                _number(row[name]), _number(row[f"{name}.low"]), _number(row[f"{name}.high"]), int(row[f"{name}.n"])
            )
            for name in metrics
            if row[f"{name}.n"] is not None
        },
        cost={name.removeprefix("cost."): row[name] for name in costs if row[name] is not None},
        figures={
            name: ClipFigures(_number(row[name]), np.array(row[f"{name}.clips"]), _units(row[f"{name}.units"]))
            for name in metrics
            if row.get(f"{name}.clips") is not None
        },
        # a column that a file of an earlier version lacks is empty
        **{name: row.get(name, "") for name in _PLAIN},
    )
