"""A full disk or a storage that is away ends no trial for good, and changes no later suggestion."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment
from tests.search.test_sweep import essence

from drivereplay.errors import DriveReplayError, TrainingError
from drivereplay.search.failures import RETRIES, environment_failure
from drivereplay.search.front import load_front
from drivereplay.spec import with_values


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    error.__cause__ = cause
    return error


def test_the_environment_is_told_from_the_setting() -> None:
    assert "No space left" in environment_failure(full())
    assert environment_failure(raised(TrainingError("the checkpoint could not be written"), full()))
    assert environment_failure(ConnectionResetError("gone"))
    for own in (FileNotFoundError("a/b.mp4"), ZeroDivisionError(), DriveReplayError("broken clip"), ValueError("nan")):
        assert environment_failure(own) == ""


def test_a_real_lost_node_is_told_from_a_trial_that_crashes() -> None:
    from ray import exceptions

    assert environment_failure(exceptions.NodeDiedError("the node died"))
    assert environment_failure(exceptions.OutOfMemoryError("killed by the memory monitor"))
    assert environment_failure(exceptions.ActorDiedError()) == ""


@dataclass
class Disk(Analytic):
    """Is full at some attempts at a trial.

    Attributes:
        failing: Trial → at how many attempts.
        seen: Trial → attempts so far.
    """

    failing: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def outcome(self, spec: Any, request: Any, step: int, fault: str = "") -> Any:
        if step == 20 and self.seen.setdefault(request.trial, 0) < self.failing.get(request.trial, 0):
            self.seen[request.trial] += 1
            raise full()
        return super().outcome(spec, request, step, fault)


def test_a_disk_that_is_full_for_a_while_changes_nothing(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=8, every=10, concurrent=3)
    whole = sweep_locally(with_values(spec, {"name": "whole"}), runner=Analytic())
    disturbed = sweep_locally(spec, runner=Disk(failing={"t0001": 2, "equal": 1, "t0006": RETRIES}))
    assert essence(disturbed) == essence(whole)


def test_a_disk_that_stays_full_ends_the_sweep_which_goes_on_when_there_is_room(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=8, every=10, concurrent=3)
    whole = sweep_locally(with_values(spec, {"name": "whole"}), runner=Analytic())
    with pytest.raises(DriveReplayError, match=r"environment fails, at t0002: OSError: .*No space left"):
        sweep_locally(spec, runner=Disk(failing={"t0002": 99}))
    left = {c.trial: c.status for c in load_front(tmp_path / "probe").candidates}
    assert left["t0002"] == "running" and "failed" not in left.values()
    assert essence(sweep_locally(spec, resume=True, runner=Analytic())) == essence(whole)


def test_what_a_setting_does_is_not_tried_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    front = sweep_locally(experiment(tmp_path, trials=3), runner=Analytic({"t0001": "raise"}, log))
    assert len(list(log.glob("t0001.*"))) == 1
    assert [c.status for c in front.candidates if c.trial == "t0001"] == ["failed"]
