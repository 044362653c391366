"""Two workers on two cores against one process with two threads: the same global batch, gloo between them. No Ray.

Run `python tests/bench/bench_training_workers.py [steps]`. The quickstart's model and batch from memory; the variants
follow each other twice and the faster round counts, so that a busy machine is seen as a difference of rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

WORKER = """
import json, sys, torch, torch.distributed as dist
from drivereplay.api import QUICKSTART
from drivereplay.models import load_model
from drivereplay.session import limit_threads
from drivereplay.spec import load_spec, with_values
from drivereplay.training.group import Group, worker_group
from drivereplay.training.loop import Hooks, fine_tune, new_state
from tests.training.helpers import memory_batches

rank, size, threads, strategy, steps, file = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
torch.set_num_threads(threads)
values = {"training.steps": int(steps), "training.warmup": 0}
if size > 1:
    values |= {"training.workers": size, "training.strategy": strategy}
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=size)
spec = with_values(load_spec(QUICKSTART), values)
group = worker_group(spec) if size > 1 else Group()
model = load_model(spec)
state = new_state(model, spec, group)
seconds = []
class Kept(Hooks):
    def stepped(self, point, batch):
        seconds.append(point.seconds)
batches = list(memory_batches(spec, rank=rank, world_size=size))
fine_tune(model, batches, spec, state=state, hooks=Kept(), group=group)
print(json.dumps(seconds[2:]))
"""

VARIANTS = {
    "one process, one thread": (1, 1, "ddp"),
    "one process, two threads": (1, 2, "ddp"),
    "two workers, one thread each, ddp": (2, 1, "ddp"),
    "two workers, one thread each, fsdp": (2, 1, "fsdp"),
}


def step_seconds(size: int, threads: int, strategy: str, steps: int) -> float:
    """Median seconds of a step of the global batch."""
    with tempfile.TemporaryDirectory() as scratch:
        common = [str(size), str(threads), strategy, str(steps), f"{scratch}/rendezvous"]
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(rank), *common], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            for rank in range(size)
        ]
        printed = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("a worker failed")
    return statistics.median(json.loads(printed[0].splitlines()[-1]))


def main(steps: int) -> None:
    """Measure and print."""
    from drivereplay.api import QUICKSTART
    from drivereplay.spec import load_spec

    rounds = [{name: step_seconds(*variant, steps) for name, variant in VARIANTS.items()} for _ in range(2)]
    batch = load_spec(QUICKSTART).training.batch_size
    two = min(found["one process, two threads"] for found in rounds)
    print(f"median of {steps - 2} steps, batch {batch}\n")
    print(
        "| variant | s a step, both rounds | samples/s | one process with two threads = 1 |\n| --- | --- | --- | --- |"
    )
    for name in VARIANTS:
        times = [found[name] for found in rounds]
        both = ", ".join(f"{value:.3f}" for value in times)
        print(f"| {name} | {both} | {batch / min(times):.2f} | {two / min(times):.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
