"""What a sweep costs its driver: 1,000 trials on 64 simulated nodes, the real searcher, journal, table and front.

    python tests/bench/bench_cluster.py [--trials 1000] [--nodes 64] [--results 1 4]

The nodes are a clock: each trial takes a random time on it and its worker's record is written as a real worker writes
it. Everything that the driver does for a result is real and is counted in CPU time, which other work on the machine
does not change as it changes wall time. Ray Tune's own loop is not in it: it polls its actors.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from drivereplay.evaluation.report import Estimate
from drivereplay.search.agenda import anchor_requests, lag_of
from drivereplay.search.candidates import Candidate, write_trial_candidates
from drivereplay.search.journal import Journal
from drivereplay.search.record import SweepRecord
from drivereplay.search.resources import TrialResources
from drivereplay.search.searcher import SweepSearch
from drivereplay.search.space import Space
from drivereplay.search.trial import TrialRequest
from drivereplay.spec import Spec, parse_spec
from drivereplay.status import status
from drivereplay.storage import Storage

TARGET_MS = 5.0
STEPS = 100
OBJECTIVES = ("fidelity.psnr", "agents.flow_epe")


def experiment(folder: Path, trials: int, sampler: str) -> Spec:
    """A search over ρ and three domains."""
    domains = [{"name": n, "source": {"kind": "world", "world": "shapes"}} for n in ("street", "objects", "signs")]
    return parse_spec(
        {
            "name": sampler,
            "storage": str(folder),
            "target": {"name": "driving", "source": {"kind": "world", "world": "highway"}},
            "replay": {"frequency": 0.25, "domains": domains},
            "search": {
                "objectives": list(OBJECTIVES),
                "space": {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"},
                "sampler": sampler,
                "trials": trials,
            },
        }
    )


def simulate(spec: Spec, nodes: int, results: int) -> tuple[list[float], float]:
    """Run the sweep on simulated nodes.

    Args:
        spec: The experiment.
        nodes: Trials at a time.
        results: Evaluated checkpoints that each trial reports, the last one included.

    Returns:
        Milliseconds of the driver's CPU time for each result, in order, and seconds that `status` takes at the end.
    """
    space = Space.of(spec)
    storage = Storage.of(spec.storage).below(spec.name)
    storage.write("spec.yaml", spec.to_yaml().encode())
    record = SweepRecord(spec, ("max", "min"), storage, [r.kind for r in anchor_requests(spec, space)])
    record.start()
    journal = Journal(storage)
    search = SweepSearch(spec, ("max", "min"), space, journal, record, TrialResources(1.0, 0.0, nodes), lag_of(nodes))
    generator = random.Random(0)
    running: list[tuple[float, str, TrialRequest]] = []
    costs: list[float] = []
    clock, started = 0.0, 0

    def fill() -> None:
        nonlocal started
        while len(running) < nodes:
            name = f"tune-{started}"
            config = search.suggest(name)
            if not isinstance(config, dict):
                return
            request = search.request(name)
            assert request is not None
            started += 1
            heapq.heappush(running, (clock + generator.uniform(60.0, 120.0), name, request))

    fill()
    while running:
        clock, name, request = heapq.heappop(running)
        rows = []
        for number in range(1, results + 1):
            rows.append(evaluated(request, generator, STEPS * number // results))
            if number == results:
                rows = [replace(row, status="finished") for row in rows]
            write_trial_candidates(storage.below("trials", request.trial), rows)
            before = time.process_time()
            if number < results:
                search.on_trial_result(name, {"candidate": row_text(rows[-1])})
            else:
                search.on_trial_complete(name, {"candidate": row_text(rows[-1])})
                fill()
            costs.append((time.process_time() - before) * 1000.0)
    record.end()
    journal.close()
    before = time.process_time()
    status(storage.uri)
    return costs, time.process_time() - before


def evaluated(request: TrialRequest, generator: random.Random, step: int) -> Candidate:
    """What a worker would report at a step: a trade-off with some noise."""
    share = float(request.parameters.get("replay.frequency", 0.0))
    values = (20.0 - 4.0 * share + generator.gauss(0, 0.2), 1.0 - 0.5 * share + generator.gauss(0, 0.05))
    metrics = {n: Estimate(v, v - 0.1, v + 0.1, 64) for n, v in zip(OBJECTIVES, values, strict=True)}
    return Candidate(
        request.trial, step, request.seed, request.kind, request.parameters, metrics, {"total_s": 90.0}, "p", "running",
        setting=request.setting,
    )  # fmt: skip


def row_text(row: Candidate) -> str:
    """As it travels through Tune."""
    import json

    return json.dumps(row.to_json())


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    keys = list(rows[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    return "\n".join([*lines, *("| " + " | ".join(str(row[key]) for key in keys) + " |" for row in rows)])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--results", nargs="+", type=int, default=[1, 4], help="evaluated checkpoints of a trial")
    chosen = parser.parse_args()
    rows = []
    for sampler, results in itertools.product(chosen.samplers, chosen.results):
        with tempfile.TemporaryDirectory() as folder:
            costs, status_s = simulate(experiment(Path(folder), chosen.trials, sampler), chosen.nodes, results)
        quarter = max(1, len(costs) // 4)
        mean = sum(costs) / len(costs)
        rows.append(
            {
                "sampler": sampler,
                "checkpoints a trial": results,
                "results": len(costs),
                "driver ms/result": f"{mean:.1f}",
                "first quarter": f"{sum(costs[:quarter]) / quarter:.1f}",
                "last quarter": f"{sum(costs[-quarter:]) / quarter:.1f}",
                f"of {TARGET_MS:g} ms": f"{mean / TARGET_MS:.2f}",
                "results/s it could take": f"{1000 / mean:.0f}",
                "status s": f"{status_s:.2f}",
            }
        )
    print(table(rows))


if __name__ == "__main__":
    main()
