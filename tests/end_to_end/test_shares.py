"""Ledgers at 1, 2 and 4 workers: the shares are exact in every step, and each rank gets its due."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from drivereplay.api import load_spec, train

STEPS, BATCH, RHO = 4, 8, 0.375


def ledger_of(cli: Any, experiment: Path, workers: int) -> list[dict[str, Any]]:
    """One worker trains in this process, which is where the command line would end too; several by the command."""
    sets = [
        f"name=w{workers}", f"training.workers={workers}", f"replay.frequency={RHO}", f"training.steps={STEPS}",
        "evaluation.clips=2", "evaluation.videos=0",
    ]  # fmt: skip
    if workers == 1:
        train(load_spec(experiment, [*sets, f"storage={experiment.parent / 'runs'}"]), quiet=True)
    else:
        done = cli("train", experiment, "--json", *(word for text in sets for word in ("--set", text)))
        assert done.code == 0, done.err
    (path,) = (experiment.parent / "runs" / f"w{workers}").glob("trials/*/ledger.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


@pytest.mark.timeout(280)
@pytest.mark.parametrize("several", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_shares_are_exact_with_one_worker_and_with_several(
    cli: Any, experiment: Path, several: int, ray_session: None
) -> None:
    ledgers = {workers: ledger_of(cli, experiment, workers) for workers in (1, several)}
    for workers, rows in ledgers.items():
        assert len(rows) == STEPS * BATCH
        assert {row["rank"] for row in rows} == set(range(workers))
        for step in range(STEPS):
            in_step = [row for row in rows if row["step"] == step]
            assert sorted(row["slot"] for row in in_step) == list(range(BATCH))
            assert sum(row["domain"] != "driving" for row in in_step) == BATCH * RHO
            for rank in range(workers):
                here = [row for row in in_step if row["rank"] == rank]
                assert len(here) == BATCH // workers
                due = len(here) * RHO
                got = sum(row["domain"] != "driving" for row in here)
                assert math.floor(due) <= got <= math.ceil(due), (workers, step, rank)
        mix = Counter(row["domain"] for row in rows)
        assert abs(mix["street"] - mix["objects"]) <= 1

    def order(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return sorted((r["step"], r["slot"], r["sample"], r["domain"], r["key"], r["start_s"]) for r in rows)

    assert order(ledgers[1]) == order(ledgers[several])
