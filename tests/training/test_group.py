"""The workers as the loop sees them: two real processes, gloo between them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from drivereplay.training.group import Group

WORKER = """
import sys, torch, torch.distributed as dist
from drivereplay.models import load_model
from drivereplay.training.curve import grouped
from drivereplay.training.group import WorkerGroup
from drivereplay.training.loop import Hooks, fine_tune
from tests.training.helpers import memory_batches, small_spec

rank, file, out = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
group = WorkerGroup()
assert (group.rank, group.size) == (rank, 2)
assert group.sum(torch.tensor([1.0 + rank])).tolist() == [3.0]
assert group.gather(f"rank {rank}") == ["rank 0", "rank 1"]
spec = small_spec(training={"steps": 4, "batch_size": 8, "accumulate": 2, "learning_rate": 1e-3, "warmup": 2})
losses = []
class Kept(Hooks):
    def stepped(self, point, batch):
        losses.append([point.loss, point.gradient_norm, *point.domains.values()])
fine_tune(load_model(spec), memory_batches(spec, rank=rank, world_size=2), spec, hooks=Kept(), group=group)
torch.save(losses, f"{out}/{rank}.pt")
"""


def test_alone_everything_is_its_own_sum() -> None:
    group, module = Group(), nn.Linear(1, 1)
    tensor = torch.ones(2)
    assert group.sum(tensor) is tensor and group.gather(3) == [3] and group.wrap(module) is module
    with group.accumulating(module):
        assert (group.rank, group.size) == (0, 1)


def test_two_processes_train_as_one(tmp_path: Path, project_root: Path) -> None:
    """The same curve as alone, up to the order of float sums: 1e-5 relative."""
    from tests.training.helpers import memory_batches, small_spec

    from drivereplay.models import load_model
    from drivereplay.training.curve import CurvePoint
    from drivereplay.training.loop import Hooks, fine_tune

    command = [sys.executable, "-c", WORKER]
    arguments = [str(tmp_path / "rendezvous"), str(tmp_path)]
    workers = [subprocess.Popen([*command, str(rank), *arguments], cwd=project_root) for rank in (0, 1)]
    assert [worker.wait(timeout=240) for worker in workers] == [0, 0]

    points: list[CurvePoint] = []

    class Kept(Hooks):
        def stepped(self, point, batch) -> None:
            points.append(point)

    spec = small_spec(training={"steps": 4, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2})
    fine_tune(load_model(spec), memory_batches(spec), spec, hooks=Kept())
    expected = torch.tensor([[p.loss, p.gradient_norm, *p.domains.values()] for p in points])
    for rank in (0, 1):
        found = torch.tensor(torch.load(tmp_path / f"{rank}.pt", weights_only=True))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
