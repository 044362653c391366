"""Checkpoints judged beside the training: in order, not too far behind, and by the trial itself where need be."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import ray
from tests.training.helpers import small_spec

from drivereplay.errors import TrainingError
from drivereplay.search import apart
from drivereplay.search.apart import ApartJudge
from drivereplay.storage import Storage


class Journal:
    """A judge that keeps what it is asked; the second take ends the trial where `ends` says so."""

    def __init__(self, *known: int, ends: int | None = None) -> None:
        self.known, self.ends = known, ends
        self.taken: list[tuple[int, str]] = []
        self.waiting: list[int] = []

    def knows(self, step: int, variant: str) -> bool:
        return step in self.known

    def pending(self, step: int, variant: str) -> None:
        self.waiting.append(step)

    def videos(self, step: int, variant: str) -> None:
        """None are kept."""

    def judged(self, step: int, checkpoint: str, variant: str = "") -> str:
        return "read here"

    def take(self, report: Any, step: int, checkpoint: str, variant: str = "") -> bool:
        self.taken.append((step, report))
        return step != self.ends

    def __call__(self, model: Any, step: int, checkpoint: str, variant: str = "") -> bool:
        return self.take("here", step, checkpoint)


@ray.remote
class Beside:
    """Stands for the evaluator: says where it was asked, fails or dies where the checkpoint is called so."""

    def __init__(self, spec: Any, clips: list[int]) -> None:
        self.clips = clips

    def ready(self) -> bool:
        return True

    def judge(self, checkpoint: Storage, videos: None) -> str:
        name = Path(checkpoint.root).name
        if name == "fails":
            raise TrainingError("It did not arrive.", "Look.")
        if name == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return f"beside {self.clips} {name}"


def test_without_room_the_trial_judges_itself(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "ROOM_S", 0.1)
    journal = Journal()
    judge = ApartJudge(small_spec(resources={"cpus_per_worker": 512}), Storage.of(tmp_path), [], journal)
    assert [judge(None, step, f"step-{step}") for step in (2, 4)] == [True, True]
    judge.finish()
    assert journal.taken == [(2, "here"), (4, "here")] and journal.waiting == []


def test_outcomes_come_in_order_and_survive_the_evaluator(
    tmp_path: Path, ray_session: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "Evaluator", Beside)
    monkeypatch.setattr(apart, "ROOM_S", 120.0)
    spec, directory = small_spec(resources={"cpus_per_worker": 0.5}), Storage.of(tmp_path)
    journal = Journal(2, ends=6)
    judge = ApartJudge(spec, directory, [7], journal)
    said = [judge(None, step, f"step-{step}") for step in (2, 4, 6, 8)]
    assert said[0] and journal.taken[:2] == [(2, "here"), (4, "beside [7] step-4")]  # 8 may be at most two ahead
    assert judge(None, 10, "dies") is False  # 6 has ended the trial, which is known by now
    judge.finish()
    assert [step for step, _ in journal.taken] == [2, 4, 6, 8, 10] and journal.waiting == [4, 6, 8, 10]
    assert journal.taken[-1] == (10, "read here")

    judge = ApartJudge(spec, directory, [], Journal())
    assert judge(None, 2, "fails") is True
    with pytest.raises(TrainingError, match="did not arrive"):
        judge.finish()
