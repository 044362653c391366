"""How the stream's rate grows with cores and with nodes.

    python tests/bench/bench_scaling.py [--rounds 5] [--files 192]

Every case is a cluster of its own (`cluster/local`) whose nodes are pinned to cores of this machine; what takes the
batches runs beside the first node and on its cores. One window is read from each short file, and each run has files of
its own, so that nothing is decoded twice. Rates are given against one node of one core, in the same round. What a
second core allows at all is measured beside it, in every round: two threads with bare decord readers, pinned to one
core and to two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from drivereplay.data.prepare import prepare

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from cluster.local import cluster as local  # noqa: E402 (found from the root)
from tests.bench.bench_stream import experiment, write  # noqa: E402

CASES = {
    "1 node of 1 core": ["0"],
    "1 node of 2 cores": ["0,1"],
    "2 nodes of 1 core": ["0", "1"],
}
POOLS = {"bare readers, 1 core": "0", "bare readers, 2 cores": "0,1"}
BATCH = 8
RUNS = 4

CHILD = """
import json, logging, sys
from pathlib import Path
from statistics import median
from tests.bench.bench_stream import experiment, in_pool, planned, streamed
from drivereplay.data.prepare import prepare
from drivereplay.session import ensure_ray
logging.getLogger("ray").setLevel(logging.ERROR)
what, steps = sys.argv[3], int(sys.argv[4])
if what == "stream":
    ensure_ray()
rates = []
for run in sorted(Path(sys.argv[1]).iterdir()):
    spec = experiment(run, Path(sys.argv[2]) / run.name, steps, 8, cache=False)
    index = prepare(spec)["footage"]
    rates.append(streamed(spec, index)[0] if what == "stream" else in_pool(planned(spec, index)))
# the first only warms up
print(json.dumps(median(rates[1:])))
"""


def child(what: str, cores: str, videos: Path, storage: Path, steps: int, environment: Mapping[str, str]) -> float:
    """Windows per second of the stream (`stream`) or of bare readers (`pool`) in a process pinned to `cores`."""
    command = ["taskset", "--cpu-list", cores, sys.executable, "-c", CHILD, str(videos), str(storage), what, str(steps)]
    every = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=every, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def on_cluster(cores: list[str], videos: Path, storage: Path, steps: int) -> float:
    """Windows per second of the stream on a cluster with one node for each entry of `cores`."""
    with local.running(nodes=0, isolated=False) as nodes:
        for pinned in cores:
            nodes.add_node(len(pinned.split(",")), prefix=("taskset", "--cpu-list", pinned))
        return child("stream", cores[0], videos, storage, steps, {**nodes.environment, "RAY_ADDRESS": nodes.gcs})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=192)
    arguments = parser.parse_args()
    # blocks of decoded clips are large
    local._OBJECT_STORE_BYTES = 1 << 30
    root = Path(tempfile.mkdtemp(prefix="bench-scaling-"))
    try:
        count, steps = arguments.files * 4 // 3 + 1, arguments.files // BATCH
        for n in range(RUNS * count):
            write(root / "short" / str(n // count) / f"{n:04d}.mp4", 17, n)
        for run in (root / "short").iterdir():
            prepare(experiment(run, root / "runs" / run.name, steps, BATCH, cache=False))
        rates: dict[str, list[float]] = {name: [] for name in (*CASES, *POOLS)}
        for _ in range(arguments.rounds):
            for name, cores in CASES.items():
                rates[name].append(on_cluster(cores, root / "short", root / "runs", steps))
            for name, pinned in POOLS.items():
                rates[name].append(child("pool", pinned, root / "short", root / "runs", steps, {}))
        print("| what | windows/s | against one core, the same round: median (from, to) |\n| --- | --- | --- |")
        for one, names in (("1 node of 1 core", CASES), ("bare readers, 1 core", POOLS)):
            for name in names:
                ratios = [rate / base for rate, base in zip(rates[name], rates[one], strict=True)]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
                print(f"| {name} | {statistics.median(rates[name]):.0f} | {spread} |")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
