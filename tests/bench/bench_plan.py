"""The sampling plan at scale, and how far a rank is ever from its due of a domain.

    python tests/bench/bench_plan.py [--steps 4000]

The cost is CPU time, which other work on the machine changes little. A rank's due of a domain is its share of all
samples of that domain so far; the table shows the largest deviation over all steps, ranks and domains.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.data.conftest import plan_spec

from drivereplay.data.plan import SamplingPlan
from drivereplay.spec import with_values

BATCH, RANKS = 16, (2, 4, 8, 16)


def cost(domains: int = 100, batch: int = 1024) -> str:
    """10⁹ clips, 100 domains, 1,024 ranks."""
    spec = plan_spec(domains - 1, training={"batch_size": batch, "steps": 10**6}, replay={"frequency": 0.37})
    tracemalloc.start()
    plan = SamplingPlan.of(spec, [10**9 // domains] * domains)
    plan.rows(0, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    begin = time.process_time()
    for step in range(4, 300):
        plan.step(step)
    each = (time.process_time() - begin) / (296 * batch) * 1e6
    begin = time.process_time()
    for step in range(1000, 500_000, 50_000):
        plan.step(step)
    anywhere = (time.process_time() - begin) / 10 * 1e3
    return (
        f"| 10⁹ clips, {domains} domains, {batch:,} ranks | {each:.1f} µs | {anywhere:.0f} ms | {peak / 1e6:.1f} MB |"
    )


def drift(replay_domains: int, steps: int) -> str:
    """Largest deviation from a rank's due, for each number of ranks."""
    generator = np.random.default_rng(replay_domains)
    spec = plan_spec(replay_domains, training={"steps": steps, "batch_size": BATCH})
    weights = generator.dirichlet(np.ones(replay_domains)).tolist()
    spec = with_values(spec, {"replay.frequency": float(generator.uniform(0.1, 0.9)), "replay.weights": weights})
    plan = SamplingPlan.of(spec, [1000] * (replay_domains + 1))
    slots = np.stack([plan.step(step).domain for step in range(steps)])
    cells = []
    for ranks in RANKS:
        worst = 0.0
        for domain in range(replay_domains + 1):
            hit = (slots == domain).reshape(steps, BATCH // ranks, ranks).sum(axis=1)
            due = hit.sum(axis=1, keepdims=True) / ranks
            worst = max(worst, float(np.abs(np.cumsum(hit - due, axis=0)).max()))
        cells.append(f"{worst:.1f}")
    return f"| {replay_domains} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    print("| plan | each sample, step after step | any step | peak memory |\n| --- | --- | --- | --- |")
    print(cost(), flush=True)
    print(f"\n| replay domains ({steps:,} steps of {BATCH}) | {' | '.join(f'{n} ranks' for n in RANKS)} |")
    print("| --- | " + "--- | " * len(RANKS))
    for replay_domains in (1, 2, 3, 5, 7):
        print(drift(replay_domains, steps), flush=True)


if __name__ == "__main__":
    main()
