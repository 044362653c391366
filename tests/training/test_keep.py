"""Which checkpoints stay: the newest, the best in each objective, and those that are still being judged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

from drivereplay.errors import TrainingError
from drivereplay.models import load_model
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints
from drivereplay.training.group import Group
from drivereplay.training.keep import Scores
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin


def test_the_best_of_each_objective_are_worth_keeping(tmp_path: Path) -> None:
    scores = Scores(Storage.of(tmp_path))
    assert scores.worth_keeping(3) == frozenset() and scores.unjudged() == []
    for step, looks, motion in [(2, 5.0, 1.0), (4, 1.0, 3.0), (6, 1.0, 2.0), (8, math.nan, -math.inf)]:
        scores.judged(step, {"looks": looks, "motion": motion})
    assert scores.worth_keeping(0) == frozenset()
    assert scores.worth_keeping(1) == {6, 2}  # of equal looks the newer; what is no number is not best
    assert scores.worth_keeping(2) == {4, 6, 2}


def test_what_is_not_judged_yet_stays_even_in_another_process(tmp_path: Path) -> None:
    Scores(Storage.of(tmp_path)).pending(2)
    scores = Scores(Storage.of(tmp_path))
    assert scores.unjudged() == [2] and scores.worth_keeping(0) == {2}
    scores.judged(2, {"looks": 1.0})
    scores.pending(2)  # told of again after a resume: it stays judged
    assert scores.unjudged() == [] and scores.worth_keeping(0) == frozenset()


def test_a_damaged_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(TrainingError, match=r"scores\.json cannot be read"):
        Scores(Storage.of(tmp_path)).worth_keeping(1)


def test_a_run_keeps_its_newest_and_its_best(tmp_path: Path) -> None:
    spec = small_spec(training={"steps": 10, "batch_size": 8, "checkpoint_every": 2, "keep": 1})
    directory = Storage.of(tmp_path)
    state, extra = begin(load_model(spec), spec, directory)
    values = {2: (3.0, 1.0), 4: (1.0, 4.0), 6: (2.0, 5.0), 8: (4.0, 6.0), 10: (5.0, 7.0)}
    there: list[list[int]] = []

    def told(state, saved, metrics, variant) -> bool:
        looks, motion = values[state.step]
        Scores(directory).judged(state.step, {"looks": looks, "motion": motion})
        there.append([c.step for c in checkpoints(directory)])
        return False

    indexes = [MemoryIndex(d.name) for d in spec.domains]
    hooks = RunHooks(spec, directory, indexes, Group(), state, extra, Progress("x", 10, every=1, show=False), told)
    fine_tune(state.model, memory_batches(spec), spec, state=state, hooks=hooks)
    hooks.end()
    assert there == [[2], [2, 4], [2, 4, 6], [2, 4, 6, 8], [2, 4, 8, 10]]
    assert [c.step for c in checkpoints(directory)] == [2, 4, 10]
