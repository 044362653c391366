"""A trial's record on disk: complete before the driver hears of it, continued after a kill."""

from __future__ import annotations

import json
import platform
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.search.problems import Analytic, experiment

from drivereplay.search.candidates import Candidate, trial_candidates
from drivereplay.search.trial import TrialRequest
from drivereplay.search.worker import TrialRecord, release_memory
from drivereplay.storage import Storage


class Kill(BaseException):
    """Stands for the end of the process."""


class DiesAt20(Analytic):
    """Is killed after its first evaluation."""

    def outcome(self, spec: Any, request: Any, step: int, fault: str = "") -> Any:
        if step == 20:
            raise Kill
        return super().outcome(spec, request, step, fault)


def run(
    tmp_path: Path,
    runner: Analytic,
    *,
    stop_at: int = 10**9,
    again: bool = False,
    frequency: float = 0.5,
    seed: int = 0,
) -> tuple[bool, list[Candidate]]:
    """Whether the trial went to its end, and what was reported."""
    spec = experiment(tmp_path, every=10)
    reported: list[Candidate] = []
    directory = Storage.of(tmp_path / "t0000")

    def report(candidate: Candidate) -> bool:
        # whatever is told to the driver is on disk already
        assert any(row.name == candidate.name for row in trial_candidates(directory))
        reported.append(candidate)
        return candidate.step < stop_at

    request = TrialRequest("t0000", "trial", seed, {"replay.frequency": frequency}, "t0000", again)
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
    with pytest.raises(Kill):
        run(tmp_path, DiesAt20())
    assert statuses(tmp_path) == {10: "running"}
    (tmp_path / "t0000" / "checkpoints").mkdir()
    before = trial_candidates(Storage.of(tmp_path / "t0000"))[0]
    run(tmp_path, Analytic())
    assert trial_candidates(Storage.of(tmp_path / "t0000"))[0].metrics == before.metrics
    assert statuses(tmp_path) == {10: "finished", 20: "finished", 30: "finished"}
    assert (tmp_path / "t0000" / "checkpoints").is_dir()


@pytest.mark.parametrize("changes", [{"frequency": 0.1}, {"seed": 3}])
def test_nothing_of_a_killed_attempt_with_other_values_is_used(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Kill):
        run(tmp_path, DiesAt20(), **changes)
    (tmp_path / "t0000" / "checkpoints").mkdir()
    _, reported = run(tmp_path, Analytic())
    alone, _ = tmp_path / "alone", run(tmp_path / "alone", Analytic())
    assert trial_candidates(Storage.of(tmp_path / "t0000")) == trial_candidates(Storage.of(alone / "t0000"))
    assert [c.step for c in reported] == [10, 20, 30]
    assert not (tmp_path / "t0000" / "checkpoints").exists()


def test_a_checkpoint_that_was_never_evaluated_has_values_too(tmp_path: Path) -> None:
    class DiesAtOnce(Analytic):
        def run(self, *arguments: Any) -> None:
            raise Kill

    with pytest.raises(Kill):
        run(tmp_path, DiesAtOnce(), frequency=0.1)
    (tmp_path / "t0000" / "checkpoints").mkdir()
    run(tmp_path, Analytic())
    assert not (tmp_path / "t0000" / "checkpoints").exists()


def test_a_trial_that_has_ended_is_kept_whatever_it_is_asked_for_now(tmp_path: Path) -> None:
    run(tmp_path, Analytic(), frequency=0.1)
    before = trial_candidates(Storage.of(tmp_path / "t0000"))
    run(tmp_path, Analytic())
    assert trial_candidates(Storage.of(tmp_path / "t0000")) == before


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("nan", "is nan"), ("missing", "does not hold"), ("raise", "ZeroDivisionError"), ("error", "a/b is broken")],
)
def test_a_failure_is_a_candidate_with_its_reason(tmp_path: Path, fault: str, reason: str) -> None:
    run(tmp_path, Analytic({"t0000": fault}))
    rows = json.loads((tmp_path / "t0000" / "candidates.json").read_text())
    assert len(rows) == 1 and rows[0]["status"] == "failed" and reason in rows[0]["reason"]
    assert rows[0]["step"] == (-1 if fault in ("raise", "error") else 10)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not asked")
def test_what_a_trials_threads_have_freed_goes_back_to_the_system() -> None:
    """A quarter of a gigabyte in small pieces, of which one in a thousand is kept: without help nearly all stays."""
    kept: list[bytearray] = []

    def trial() -> None:
        pieces = [bytearray(b"x" * 60_000) for _ in range(4_000)]
        kept.extend(pieces[::1000])

    process = psutil.Process()
    before = process.memory_info().rss
    thread = threading.Thread(target=trial)
    thread.start()
    thread.join()
    release_memory()
    assert process.memory_info().rss - before < 60e6, len(kept)
