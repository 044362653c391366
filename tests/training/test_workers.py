"""Several workers of a real Ray Train: the same curve and ledger as alone, whoever dies."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from drivereplay.data.prepare import prepare
from drivereplay.errors import DataError, TrainingError
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.curve import read_curve
from drivereplay.training.ledger import read_ledger
from drivereplay.training.trainer import CheckpointEvent, StopTraining, train

# a worker group takes half a minute to start where several share a core
pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.timeout(1200)]
Make = Callable[..., Spec]


def losses(directory: Storage) -> list[float]:
    return [p.loss for p in read_curve(directory)]


# by default `test_group.py` compares two processes with one, and `end_to_end/test_shares.py` two workers' ledger
@pytest.mark.slow
def test_two_workers_have_the_curve_and_ledger_of_one(filmed_spec: Make, tmp_path: Path) -> None:
    """Losses agree to 1e-5 relative: only the order of float sums differs."""
    one, two = Storage.of(tmp_path / "1"), Storage.of(tmp_path / "2")
    train(filmed_spec(steps=4), one, show_progress=False)
    events: list[CheckpointEvent] = []
    result = train(filmed_spec(steps=4, workers=2), two, on_checkpoint=events.append, show_progress=False)
    assert [e.step for e in events] == [c.step for c in result.checkpoints] == [2, 4]
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    alone, together = read_ledger(one), read_ledger(two)
    assert together.drop(["rank"]).equals(alone.drop(["rank"]))
    assert sorted(set(together["rank"].to_pylist())) == [0, 1]
    assert two.names() == ["checkpoints", "curve.parquet", "ledger.parquet"]


@pytest.mark.slow
def test_four_workers_an_elastic_group_and_shards_have_the_curve_of_one(filmed_spec: Make, tmp_path: Path) -> None:
    one = Storage.of(tmp_path / "1")
    train(filmed_spec(steps=4), one, show_progress=False)
    groups = {"4": {"workers": 4}, "elastic": {"workers": (1, 2)}, "fsdp": {"workers": 2, "strategy": "fsdp"}}
    for name, workers in groups.items():
        other = Storage.of(tmp_path / name)
        # four workers leave a CPU of four for their decoding tasks
        spec = with_values(filmed_spec(steps=4, **workers), {"resources.cpus_per_worker": 0.75})
        train(spec, other, show_progress=False)
        assert losses(other) == pytest.approx(losses(one), rel=1e-5)
        assert read_ledger(other).drop(["rank"]).equals(read_ledger(one).drop(["rank"]))


@pytest.mark.slow
def test_stopping_early_and_errors_of_the_caller_reach_the_caller(filmed_spec: Make, tmp_path: Path) -> None:
    def stop(event: CheckpointEvent) -> None:
        raise StopTraining

    def fail(event: CheckpointEvent) -> None:
        raise ZeroDivisionError("of the caller's own making")

    told_at = frozenset({4})
    result = train(
        filmed_spec(workers=2), Storage.of(tmp_path / "a"), on_checkpoint=stop, told_at=told_at, show_progress=False
    )
    assert result.stopped and result.step == 4  # not told of step 2
    with pytest.raises(ZeroDivisionError, match="own making"):
        train(filmed_spec(workers=2), Storage.of(tmp_path / "b"), on_checkpoint=fail, show_progress=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_one_rank_alone_meets_ends_the_run_at_once(filmed_spec: Make, filmed: Path, tmp_path: Path) -> None:
    """The others wait for its gradients; left to themselves they would for the half hour that a group may take."""
    copy = tmp_path / "driving"
    shutil.copytree(filmed / "driving", copy)
    training = {"workers": 2, "steps": 40, "bad_clips": 0.0, "cache": False}
    spec = with_values(filmed_spec(**training), {"target.source.path": str(copy)})
    prepare(spec)
    damaged = sorted(copy.glob("*.mp4"))[0]
    before = damaged.stat()
    # as large and as old as it was, so that it is not ingested anew
    damaged.write_bytes(bytes(before.st_size))
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=damaged.name):
        train(spec, Storage.of(tmp_path / "run"), show_progress=False)


@pytest.mark.chaos
def test_a_killed_worker_costs_steps_and_no_sample(filmed_spec: Make, tmp_path: Path) -> None:
    """SIGKILL to a worker's process at a checkpoint: the group restarts, and the ledger shows nothing of it."""
    import psutil

    whole, hurt = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "hurt")
    train(filmed_spec(workers=2), whole, show_progress=False)
    killed: list[int] = []

    def kill(event: CheckpointEvent) -> None:
        if event.step == 2 and not killed:
            for process in psutil.Process().children(recursive=True):
                if "RayTrainWorker" in " ".join(process.cmdline()):
                    killed.append(process.pid)
                    os.kill(process.pid, signal.SIGKILL)
                    return

    result = train(filmed_spec(workers=2), hurt, on_checkpoint=kill, show_progress=False)
    assert killed and result.step == 6
    assert read_ledger(hurt).equals(read_ledger(whole))
    assert losses(hurt) == pytest.approx(losses(whole), rel=1e-6)


@pytest.mark.chaos
def test_workers_that_keep_dying_end_the_run_clearly(filmed_spec: Make, tmp_path: Path) -> None:
    import psutil

    def kill(event: CheckpointEvent) -> None:
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(TrainingError, match="workers failed more than 1 times") as caught:
        train(filmed_spec(workers=2, max_failures=1), Storage.of(tmp_path), on_checkpoint=kill, show_progress=False)
    assert "--resume" in caught.value.fix
