"""How a run stands, read from what it leaves behind: it need not run here, nor run at all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from drivereplay.errors import SpecError
from drivereplay.search.agenda import anchor_requests
from drivereplay.search.candidates import Candidate, CandidateTable, trial_candidates
from drivereplay.search.environment import read_decided
from drivereplay.search.front import FILE as FRONT
from drivereplay.search.front import read_front_file
from drivereplay.search.space import Space
from drivereplay.spec import Spec, read_spec
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import CHECKPOINTS, checkpoints

_SINGLE = "run"
"""The only trial of a run of `drivereplay train`."""


def status(directory: str | Path) -> dict[str, Any]:
    """What runs, how far, how long still, what failed and why, what it has cost.

    A process that was killed cannot say so: `last sign of life` tells whether an unfinished run still moves.

    Args:
        directory: `<storage>/<name>` of a sweep or a single run; a directory or a URI.

    Raises:
        SpecError: There is no run.
    """
    storage = Storage.of(directory)
    if not storage.exists("spec.yaml"):
        raise SpecError(f"There is no run in {storage.uri}.", "Give <storage>/<name> of an experiment.")
    spec = read_spec(storage.read("spec.yaml"), where=f"{storage.uri}/spec.yaml")
    names = storage.names("trials")
    rows = _by_trial(storage, names)
    single = names == [_SINGLE]
    ended = {trial: found for trial, found in rows.items() if _ended(found, single, spec)}
    total = 1 if single else len(anchor_requests(spec, Space.of(spec))) + spec.search.trials
    open_trials = [name for name in names if name not in ended]
    progress = {name: _progress(storage, name, rows.get(name, ()), spec) for name in open_trials}
    failed = {trial: _reason(found) for trial, found in ended.items() if _word(found) == "failed"}
    words = Counter(_word(found) for found in ended.values())
    document: dict[str, Any] = {
        "run": storage.uri,
        "state": "finished" if len(ended) >= total else "unfinished",
        "trials": f"{len(ended)} of {total} ended" + "".join(f", {n} {word}" for word, n in sorted(words.items())),
        "open": progress,
        "last sign of life": _ago(_last_sign(storage, open_trials)),
        "time to go": spoken(_remaining_s(storage, spec, ended, total, progress)),
        "failures": failed,
        "cost": _cost(rows),
    }
    if storage.exists(FRONT):
        front = read_front_file(storage)
        document["front"] = {"candidates": len(front.get("front", ())), "hypervolume": front.get("hypervolume")}
    return document


def _by_trial(storage: Storage, names: Sequence[str]) -> dict[str, tuple[Candidate, ...]]:
    """Rows of the table, and of trials that the driver has not written there yet."""
    table: dict[str, list[Candidate]] = {}
    for row in CandidateTable.read(storage):
        table.setdefault(row.trial, []).append(row)
    found = {trial: tuple(rows) for trial, rows in table.items()}
    for name in names:
        if name not in found or any(row.status == "running" for row in found[name]):
            found[name] = trial_candidates(storage.below("trials", name)) or found.get(name, ())
    return {trial: rows for trial, rows in found.items() if rows}


def _ended(rows: Sequence[Candidate], single: bool, spec: Spec) -> bool:
    if single:
        return any(row.step >= spec.training.steps for row in rows)
    return all(row.status != "running" for row in rows)


def _word(rows: Sequence[Candidate]) -> str:
    words = {row.status for row in rows}
    return next((word for word in ("failed", "stopped") if word in words), "finished")


def _reason(rows: Sequence[Candidate]) -> str:
    return next(row.reason for row in rows if row.status == "failed")


def _progress(storage: Storage, trial: str, rows: Sequence[Candidate], spec: Spec) -> str:
    """Steps behind the last checkpoint: what would not be lost now."""
    found = checkpoints(storage.below("trials", trial))
    step = max([checkpoint.step for checkpoint in found] + [row.step for row in rows if row.step > 0], default=0)
    return f"{step}/{spec.training.steps}"


def _last_sign(storage: Storage, open_trials: Sequence[str]) -> float | None:
    """Unix time of the newest file that a living run would write; None where the filesystem keeps no times."""
    places = ["", *(f"trials/{trial}" for trial in open_trials)]
    places += [f"trials/{trial}/{CHECKPOINTS}" for trial in open_trials]
    times = []
    for place in places:
        selector = pafs.FileSelector(storage.path(place), allow_not_found=True)
        times += [info.mtime_ns / 1e9 for info in storage.filesystem.get_file_info(selector) if info.mtime_ns]
    return max(times, default=None)


def _remaining_s(
    storage: Storage, spec: Spec, ended: Mapping[str, Sequence[Candidate]], total: int, progress: Mapping[str, str]
) -> float | None:
    """Trials to go, at the mean length of those that finished, so many at a time; None while none has finished."""
    if len(ended) >= total:
        return 0.0
    lengths = [
        max(row.cost.get("total_s", 0.0) for row in rows)
        for rows in ended.values()
        if _word(rows) == "finished" and rows[0].kind != "base"
    ]
    if not lengths:
        return None
    steps = max(1, spec.training.steps)
    begun = sum(int(text.partition("/")[0]) / steps for text in progress.values())
    return sum(lengths) / len(lengths) * max(0.0, total - len(ended) - begun) / _concurrent(storage)


def _concurrent(storage: Storage) -> int:
    return max(1, read_decided(storage).get("concurrent", 1))


def _cost(rows: Mapping[str, Sequence[Candidate]]) -> dict[str, float]:
    """Sums over trials; within a trial each row has the sum since its beginning."""
    sums: dict[str, float] = {}
    for found in rows.values():
        for key in {key for row in found for key in row.cost}:
            sums[key] = sums.get(key, 0.0) + max(row.cost.get(key, 0.0) for row in found)
    return {key: round(value, 4) for key, value in sorted(sums.items())}


def _ago(moment: float | None) -> str:
    return "not known" if moment is None else f"{spoken(max(0.0, time.time() - moment))} ago"


def spoken(seconds: float | None) -> str:
    """A length of time for people: 95 s, 12 min, 3.4 h."""
    if seconds is None:
        return "not known"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
