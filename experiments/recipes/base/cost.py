"""What a base costs beside another tree's: CPU time of a training step of 8 clips and of an evaluation of 64, in turns.

    python experiments/recipes/base/cost.py --old ../drivereplay-2fbe556 --model DIRECTORY

Two processes, one with each tree's code, do the same thing alternately, so that a busy machine hurts both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORKER = """
import json, sys, time
import numpy as np, torch
from drivereplay.domains.recording import Clip
from drivereplay.evaluation.judge import evaluate_model
from drivereplay.models import load_model
from drivereplay.spec import load_spec, with_values

torch.set_num_threads(1)
quickstart, base = sys.argv[1:]
spec = with_values(load_spec(quickstart), {"model.base": base})
model = load_model(spec)
module = model.module
optimizer = torch.optim.AdamW(module.parameters(), 1e-4, fused=True)
rng = np.random.default_rng(0)
scene = rng.integers(0, 255, (1, 1, 16, 24, 3), np.uint8).repeat(4, 2).repeat(4, 3)
frames = np.concatenate([np.roll(scene, 2 * t, 3) for t in range(8)], 1).repeat(64, 0)
clips = [Clip(f"c/{n}", "c", frames[n], 2, 8.0) for n in range(64)]

def step():
    module.train()
    batch = torch.from_numpy(frames[:8])
    latents = model.encode(batch)
    conditions = model.conditions(batch, [""] * 8, 8.0)
    model.loss(latents, torch.randn_like(latents), torch.rand(8), conditions).mean().backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()

def evaluate():
    module.eval()
    evaluate_model(model, clips, spec, lacking=True)

for line in sys.stdin:
    begun = time.process_time()
    {"step": step, "evaluate": evaluate}[line.strip()]()
    print("CPU", time.process_time() - begun, flush=True)
"""


def worker(tree: Path, base: str) -> subprocess.Popen[str]:
    """A process with a tree's code that does what it is told on its standard input."""
    tree = tree.resolve()
    path = os.pathsep.join([str(tree / "platform"), str(tree / "dashboards")])
    quickstart = tree / "platform" / "drivereplay" / "quickstart.yaml"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(quickstart), base],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tree,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def cpu_s(process: subprocess.Popen[str], what: str) -> float:
    """CPU seconds of doing `step` or `evaluate` once."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(what + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("CPU "):
            return float(line.split()[1])
    raise SystemExit(f"The process that was to {what} ended.")


def main() -> None:
    """The command line: --old TREE [--model DIRECTORY]."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--old", type=Path, required=True, help="checkout to compare with, with its shipped base")
    parser.add_argument("--model", default="tiny", help="base of this tree: a directory or a shipped name")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = options.model if not Path(options.model).is_dir() else str(Path(options.model).resolve())
    here = Path(__file__).resolve().parents[3]
    processes = {"old": worker(options.old, "tiny"), "new": worker(here, model)}
    for what, rounds in (("step", 3 * options.rounds), ("evaluate", options.rounds)):
        times: dict[str, list[float]] = {name: [] for name in processes}
        for n in range(rounds + 1):
            for name, process in processes.items():
                used = cpu_s(process, what)
                # the first one warms up
                if n:
                    times[name].append(used)
        medians = {name: round(statistics.median(values), 3) for name, values in times.items()}
        print(
            json.dumps({"what": what, "cpu_s": medians, "ratio": round(medians["new"] / medians["old"], 2)}), flush=True
        )
    for process in processes.values():
        process.kill()


if __name__ == "__main__":
    main()
