"""SIGKILL to the program that trains: what it leaves is whole, and the run goes on to the same ledger and bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from drivereplay.models import load_checkpoint
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints, clear
from drivereplay.training.curve import read_curve
from drivereplay.training.ledger import read_ledger

DRIVER = """
import sys
from drivereplay.models import load_model
from drivereplay.storage import Storage
from drivereplay.training.group import Group
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

spec = small_spec(training={"steps": 24, "batch_size": 8, "checkpoint_every": 2, "learning_rate": 1e-3, "warmup": 2})
directory = Storage.of(sys.argv[1])
state, extra = begin(load_model(spec), spec, directory)

def checkpointed(state, saved, metrics, variant):
    print(state.step, flush=True)
    return False

indexes = [MemoryIndex(d.name) for d in spec.domains]
progress = Progress(spec.name, 24, every=1, show=False)
hooks = RunHooks(spec, directory, indexes, Group(), state, extra, progress, checkpointed)
fine_tune(state.model, memory_batches(spec, state.step), spec, state=state, hooks=hooks)
hooks.end()
"""


def drive(directory: Path, root: Path, kill_after: int | None = None) -> None:
    """Train in a process of its own; with `kill_after`, kill it as soon as it tells of that checkpoint."""
    command = [sys.executable, "-c", DRIVER, str(directory)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if kill_after is not None and int(line) >= kill_after:
                process.kill()
                break
        code = process.wait(timeout=300)
    assert code == (0 if kill_after is None else -9)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_driver_goes_on_to_the_same_end(tmp_path: Path, project_root: Path) -> None:
    whole, killed = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "killed")
    drive(tmp_path / "whole", project_root)
    for step in (4, 10, 16):
        drive(tmp_path / "killed", project_root, kill_after=step)
        found = checkpoints(killed)
        assert found and found[-1].step >= step
        clear(killed, everything=False)
    drive(tmp_path / "killed", project_root)
    assert read_ledger(killed).equals(read_ledger(whole))
    assert [p.loss for p in read_curve(killed)] == [p.loss for p in read_curve(whole)]
    first, second = (load_checkpoint(checkpoints(run)[-1].storage.root).module for run in (whole, killed))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
