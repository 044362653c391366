"""From videos to a Pareto front by the command line, and the same again from the same seed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


def test_a_sweep_leaves_what_the_design_says_and_its_front_is_non_dominated(cli: Any, swept: Path) -> None:
    for name in ("spec.yaml", "environment.json", "candidates.parquet", "front.json", "study.journal", "tensorboard"):
        assert (swept / name).exists(), name
    shown = cli("front", swept, "--json", "--plot", swept / "front.png")
    assert shown.code == 0, shown.err
    document = json.loads(shown.out)
    assert (swept / "front.png").read_bytes().startswith(b"\x89PNG")

    candidates = document["candidates"]
    assert {c["kind"] for c in candidates} >= {"base", "naive", "replay-only", "equal", "trial"}
    assert sum(c["kind"] == "trial" for c in candidates) == 2
    by_kind = {c["kind"]: c for c in candidates}
    assert by_kind["naive"]["parameters"]["replay.frequency"] == 0
    assert by_kind["replay-only"]["parameters"]["replay.frequency"] == 1
    points = {}
    for candidate in candidates:
        values = [candidate["metrics"][name] for name in ("fidelity.psnr", "agents.flow_epe")]
        for value in values:
            assert value["low"] <= value["mean"] <= value["high"]
        points[candidate["name"]] = (-values[0]["mean"], values[1]["mean"])
    best = {
        name
        for name, p in points.items()
        if not any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points.values())
    }
    assert {c["name"] for c in document["front"]} == best
    assert document["knee"]["name"] in best
    assert math.isfinite(document["hypervolume"]) and document["hypervolume"] > 0

    naive = next(c for c in candidates if c["kind"] == "naive")
    ledger = pq.read_table(swept / "trials" / naive["trial"] / "ledger.parquet").to_pylist()
    assert len(ledger) == 4 * 8
    assert {row["domain"] for row in ledger} == {"driving"}


@pytest.mark.slow  # `tests/search/test_sweep.py` has the same without the command line
def test_the_same_seed_gives_the_same_candidates(cli: Any, swept: Path) -> None:
    again = cli("sweep", swept.parent.parent / "small.yaml", "--json", "--set", "name=again")
    assert again.code == 0, again.err
    first = json.loads(cli("front", swept, "--json").out)
    second = json.loads(cli("front", swept.parent / "again", "--json").out)

    def essence(document: dict[str, Any]) -> list[Any]:
        return sorted(
            (c["kind"], json.dumps(c["parameters"], sort_keys=True), json.dumps(c["metrics"], sort_keys=True))
            for c in document["candidates"]
        )

    assert essence(first) == essence(second)


def test_a_finished_sweep_is_not_overwritten_by_a_second_call(cli: Any, swept: Path) -> None:
    experiment = swept.parent.parent / "small.yaml"
    before = (swept / "candidates.parquet").read_bytes()
    refused = cli("sweep", experiment)
    assert refused.code == 2
    assert "--resume" in refused.err
    resumed = cli("sweep", experiment, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert pq.read_table(swept / "candidates.parquet").num_rows == 6
    assert (swept / "candidates.parquet").read_bytes() == before
