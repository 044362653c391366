"""A sweep on real clusters of 1, 2 and 4 nodes on this machine: how much of what the cores allow is left.

    python tests/bench/bench_nodes.py [--trials 16] [--nodes 1 2 4]

Every node is a raylet with one CPU, of which a trial takes three quarters and leaves the rest to data tasks, so that n
nodes run n trials at a time. What the machine allows is min(n, cores) times what one node does. The time is that from
the first trial's record to the last's, so that starting clusters and the first imports on the first node are left out;
those on further nodes are in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cluster.local.cluster import running
from tests.end_to_end.sweeps import write_sweep
from tests.footage import write_domains

ANCHORS = ("base", "naive")


def trials_per_minute(folder: Path, clips: Path, nodes: int, trials: int, steps: int) -> float:
    """One sweep on one cluster.

    Args:
        trials: Beside the anchors.
        steps: Of each trial.
    """
    search = {
        "objectives": ["fidelity.psnr", "agents.flow_epe"],
        "space": {"replay.frequency": {"uniform": [0.0, 0.6]}},
        "anchors": list(ANCHORS),
        "sampler": "random",
        "trials": trials,
        "concurrent": nodes,
    }
    training = {"steps": steps, "batch_size": 8, "learning_rate": 1e-3, "warmup": 1}
    run = write_sweep(clips, folder, search=search, training=training, resources={"cpus_per_worker": 0.75})
    with running(nodes=nodes, cpus=1, isolated=False) as cluster:
        run.environment = {**cluster.environment, "RAY_ADDRESS": cluster.gcs}
        try:
            run.finish()
        finally:
            run.end()
    written = sorted(path.stat().st_mtime for path in (run.directory / "trials").glob("*/candidates.json"))
    # the base costs no training, and the first after it warms up
    counted = written[len(ANCHORS) - 1 :]
    return 60.0 * (len(counted) - 1) / (counted[-1] - counted[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    chosen = parser.parse_args()
    cores = os.cpu_count() or 1
    rates: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        clips = write_domains(Path(folder) / "footage")
        for nodes in chosen.nodes:
            rates[nodes] = trials_per_minute(Path(folder) / f"on-{nodes}", clips, nodes, chosen.trials, chosen.steps)
    print(f"| nodes of 1 CPU | trials/min | of one node | the {cores} cores allow | efficiency |\n|{' --- |' * 5}")
    one = rates[chosen.nodes[0]] / chosen.nodes[0]
    for nodes, rate in rates.items():
        allowed = min(nodes, cores)
        print(f"| {nodes} | {rate:.1f} | {rate / one:.2f} | {allowed} | {rate / one / allowed:.2f} |")


if __name__ == "__main__":
    main()
