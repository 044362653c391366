"""What surrounds the loop: when checkpoints are due, what they say, and what a resume finds. No Ray, no videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

from drivereplay.errors import TrainingError
from drivereplay.models import load_model
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints, read_extra
from drivereplay.training.curve import read_curve
from drivereplay.training.group import Group
from drivereplay.training.ledger import read_ledger
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, StopTraining, begin, checkpoint_steps


@pytest.mark.parametrize(
    ("training", "evaluation", "expected"),
    [
        ({"steps": 10, "checkpoint_every": 4}, {"every": 5}, {4, 8, 10}),
        ({"steps": 10}, {"every": 5}, {5, 10}),
        ({"steps": 10}, {"every": None}, {10}),
        ({"steps": 0}, {"every": 5}, {0}),
        ({"steps": 3, "checkpoint_every": 50}, {"every": 5}, {3}),
    ],
)
def test_checkpoints_are_due_at_their_steps_and_at_the_end(training: dict, evaluation: dict, expected: set) -> None:
    values = {"batch_size": 8, "checkpoint_every": None, **training}
    assert checkpoint_steps(small_spec(training=values, evaluation=evaluation)) == expected


def run(spec, directory: Storage, stop_at: int | None = None) -> list[tuple[int, dict[str, float]]]:
    told: list[tuple[int, dict[str, float]]] = []
    state, extra = begin(load_model(spec), spec, directory)

    def checkpointed(state, saved, metrics, variant) -> bool:
        told.append((state.step, metrics))
        return state.step == stop_at

    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress(spec.name, spec.training.steps, every=1, show=False)
    hooks = RunHooks(spec, directory, indexes, Group(), state, extra, progress, checkpointed)
    try:
        fine_tune(state.model, memory_batches(spec, state.step), spec, state=state, hooks=hooks)
    except StopTraining:
        return told
    hooks.end()
    return told


def test_a_resumed_run_has_the_ledger_and_curve_of_a_whole_one(tmp_path: Path) -> None:
    spec = small_spec()
    whole, broken = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "broken")
    told = run(spec, whole)
    assert [step for step, _ in told] == [2, 4, 6]
    assert [step for step, _ in run(spec, broken, stop_at=4)] == [2, 4]
    assert [step for step, _ in run(spec, broken)] == [6]
    assert read_ledger(broken).equals(read_ledger(whole))
    assert [p.loss for p in read_curve(broken)] == [p.loss for p in read_curve(whole)]
    assert read_ledger(whole)["key"][0].as_py() == "driving-0.mp4"


def test_metrics_are_means_since_the_last_checkpoint(tmp_path: Path) -> None:
    told = run(small_spec(), Storage.of(tmp_path))
    points = read_curve(Storage.of(tmp_path))
    metrics = dict(told)[4]
    assert metrics["loss"] == pytest.approx((points[2].loss + points[3].loss) / 2)
    assert metrics["loss/street"] == pytest.approx((points[2].domains["street"] + points[3].domains["street"]) / 2)
    assert metrics["seconds"] >= sum(p.seconds for p in points[:4]) * 0.999
    assert 0 <= metrics["waited_share"] < 1 and metrics["samples_per_second"] > 0
    assert read_extra(checkpoints(Storage.of(tmp_path))[1])["metrics"] == metrics


def test_clips_are_named_in_messages(tmp_path: Path) -> None:
    spec = small_spec()
    state, extra = begin(load_model(spec), spec, Storage.of(tmp_path))
    indexes = [MemoryIndex(d.name) for d in spec.domains]
    hooks = RunHooks(
        spec, Storage.of(tmp_path), indexes, Group(), state, extra, Progress("x", 1, every=1), lambda *_: False
    )
    assert hooks.clip_name(1, 3) == "street/street-3.mp4@1.50"


def test_trouble_of_the_first_rank_ends_the_others_too(tmp_path: Path) -> None:
    """They would wait for it in the next collective otherwise."""

    class Second(Group):
        rank, size = 1, 2

        def gather(self, value: Any) -> list[Any]:
            return [TrainingError("The storage is gone.", "Use --resume.") if value is None else value, value]

    spec = small_spec()
    state, extra = begin(load_model(spec), spec, Storage.of(tmp_path))
    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress("x", 1, every=1, show=False)
    hooks = RunHooks(spec, Storage.of(tmp_path), indexes, Second(), state, extra, progress, lambda *_: False)
    with pytest.raises(TrainingError, match="storage is gone"):
        hooks.checkpoint(state)
