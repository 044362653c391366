"""How the stream's rate grows with cores and with nodes.

    python tests/bench/bench_scaling.py [--rounds 2] [--files 192]

Every case is a cluster of its own (`cluster/local`) whose nodes are pinned to cores of this machine; what takes the
batches runs beside the first node and on its cores. One window is read from each short file, so that nothing is decoded
twice. Rates are given against one node of one core, in the same round.
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
BATCH = 8

CHILD = """
import json, logging, sys
from pathlib import Path
from tests.bench.bench_stream import experiment, streamed
from drivereplay.data.prepare import prepare
from drivereplay.session import ensure_ray
logging.getLogger("ray").setLevel(logging.ERROR)
ensure_ray()
steps = int(sys.argv[3])
spec = experiment(Path(sys.argv[1]), Path(sys.argv[2]), steps, 8, cache=False)
index = prepare(spec)["footage"]
few = spec.model_copy(update={"training": spec.training.model_copy(update={"steps": 2})})
streamed(few, index)
rate, first, whole = streamed(spec, index)
print(json.dumps(rate))
"""


def measured(cores: list[str], videos: Path, storage: Path, steps: int) -> float:
    """Windows per second of the stream on a cluster with one node for each entry of `cores`."""
    with local.running(nodes=0, isolated=False) as nodes:
        for pinned in cores:
            nodes.add_node(len(pinned.split(",")), prefix=("taskset", "--cpu-list", pinned))
        command = [
            "taskset",
            "--cpu-list",
            cores[0],
            sys.executable,
            "-c",
            CHILD,
            str(videos),
            str(storage),
            str(steps),
        ]
        environment = {**os.environ, **nodes.environment, "RAY_ADDRESS": nodes.gcs}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--files", type=int, default=192)
    arguments = parser.parse_args()
    # blocks of decoded clips are large
    local._OBJECT_STORE_BYTES = 1 << 30
    root = Path(tempfile.mkdtemp(prefix="bench-scaling-"))
    try:
        for n in range(arguments.files * 4 // 3 + 1):
            write(root / "short" / f"{n:03d}.mp4", 17, n)
        steps = arguments.files // BATCH
        prepare(experiment(root / "short", root / "runs", steps, BATCH, cache=False))
        rates: dict[str, list[float]] = {name: [] for name in CASES}
        for _ in range(arguments.rounds):
            for name, cores in CASES.items():
                rates[name].append(measured(cores, root / "short", root / "runs", steps))
        print("| cluster | windows/s | against 1 node of 1 core |\n| --- | --- | --- |")
        one = rates["1 node of 1 core"]
        for name, found in rates.items():
            ratio = statistics.median(rate / base for rate, base in zip(found, one, strict=True))
            print(f"| {name} | {statistics.median(found):.0f} | {ratio:.2f} |")
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
