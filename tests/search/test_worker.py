"""A trial's record on disk: complete before the driver hears of it, continued after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.search.problems import Analytic, experiment

from drivereplay.search.candidates import Candidate, trial_candidates
from drivereplay.search.trial import TrialRequest
from drivereplay.search.worker import TrialRecord
from drivereplay.storage import Storage


def run(tmp_path: Path, runner: Analytic, *, stop_at: int = 10**9, again: bool = False) -> tuple[bool, list[Candidate]]:
    """Whether the trial went to its end, and what was reported."""
    spec = experiment(tmp_path, every=10)
    reported: list[Candidate] = []
    directory = Storage.of(tmp_path / "t0000")

    def report(candidate: Candidate) -> bool:
        # whatever is told to the driver is on disk already
        assert any(row.name == candidate.name for row in trial_candidates(directory))
        reported.append(candidate)
        return candidate.step < stop_at

    request = TrialRequest("t0000", "trial", 0, {"replay.frequency": 0.5}, "t0000", again)
    return TrialRecord(spec, runner, request, directory, report).run(), reported


def statuses(tmp_path: Path) -> dict[int, str]:
    return {row.step: row.status for row in trial_candidates(Storage.of(tmp_path / "t0000"))}


def test_all_checkpoints_are_finished_once_the_trial_is(tmp_path: Path) -> None:
    went_on, reported = run(tmp_path, Analytic())
    assert went_on and [c.status for c in reported] == ["running"] * 3
    assert statuses(tmp_path) == {10: "finished", 20: "finished", 30: "finished"}
    # the driver was killed before it heard: the trial is only reported again
    log = tmp_path / "log"
    log.mkdir()
    again, repeated = run(tmp_path, Analytic(log=log))
    assert again and [c.status for c in repeated] == ["finished"] * 3
    assert not list(log.iterdir())


def test_a_stopped_trial_is_stopped_and_may_be_taken_up_again(tmp_path: Path) -> None:
    went_on, _ = run(tmp_path, Analytic(), stop_at=10)
    assert not went_on and statuses(tmp_path) == {10: "stopped"}
    went_on, reported = run(tmp_path, Analytic(), again=True)
    assert went_on and [c.step for c in reported] == [10, 20, 30]
    assert statuses(tmp_path) == {10: "finished", 20: "finished", 30: "finished"}


def test_a_killed_attempt_is_continued_with_what_it_had_evaluated(tmp_path: Path) -> None:
    class Kill(BaseException):
        pass

    class Dies(Analytic):
        def outcome(self, spec: Any, request: Any, step: int, fault: str = "") -> Any:
            if step == 20:
                raise Kill
            return super().outcome(spec, request, step, fault)

    with pytest.raises(Kill):
        run(tmp_path, Dies())
    assert statuses(tmp_path) == {10: "running"}
    before = trial_candidates(Storage.of(tmp_path / "t0000"))[0]
    run(tmp_path, Analytic())
    assert trial_candidates(Storage.of(tmp_path / "t0000"))[0].metrics == before.metrics
    assert statuses(tmp_path) == {10: "finished", 20: "finished", 30: "finished"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nan", "is nan"), ("missing", "does not hold"), ("raise", "ZeroDivisionError"), ("error", "a/b is broken")],
)
def test_a_failure_is_a_candidate_with_its_reason(tmp_path: Path, fault: str, reason: str) -> None:
    run(tmp_path, Analytic({"t0000": fault}))
    rows = json.loads((tmp_path / "t0000" / "candidates.json").read_text())
    assert len(rows) == 1 and rows[0]["status"] == "failed" and reason in rows[0]["reason"]
    assert rows[0]["step"] == (-1 if fault in ("raise", "error") else 10)
