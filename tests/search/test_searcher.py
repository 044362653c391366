"""Whole sweeps without Ray (see `tests.search.local`): what is booked, what a resume does, what never happens."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, Told, experiment
from tests.search.test_sweep import essence, states

from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.search.front import load_front
from drivereplay.search.journal import FILE as JOURNAL
from drivereplay.search.journal import Journal
from drivereplay.spec import with_values
from drivereplay.storage import Storage

ROOT = Path(__file__).resolve().parent.parent.parent
# the tests, and the library that is tested here even where another checkout is installed
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")])}


def test_the_order_in_which_trials_end_changes_nothing(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=10, every=10, concurrent=4)
    fronts = [sweep_locally(with_values(spec, {"name": f"n{seed}"}), seed=seed, runner=Analytic()) for seed in range(3)]
    assert essence(fronts[0]) == essence(fronts[1]) == essence(fronts[2])


def test_listeners_hear_of_each_candidate_once_with_its_final_status(tmp_path: Path) -> None:
    told = Told()
    front = sweep_locally(experiment(tmp_path, every=10), runner=Analytic({"t0001": "nan"}), listeners=[told])
    assert sorted(told.names) == sorted(c.name for c in front.candidates)
    assert "running" not in {c.status for c in front.candidates}
    assert [c.status for c in front.candidates if c.trial == "t0001"] == ["failed"]


def test_twenty_checkpoints_a_trial_are_heard_of_twice_each_and_cost_one_front(tmp_path: Path) -> None:
    class Counting(Told):
        fronts = 0

        def candidate_evaluated(self, candidate: Any, report: Any) -> None:
            assert candidate.status == "running" and candidate.name not in (*self.evaluated, *self.names)
            super().candidate_evaluated(candidate, report)

        def trial_ended(self, candidates: Any, front: Any) -> None:
            self.fronts += 1
            assert {c.status for c in candidates} == {"finished"}
            assert len({c.trial for c in candidates}) == 1
            assert {c.name for c in candidates} <= set(self.evaluated)
            super().trial_ended(candidates, front)

    told = Counting()
    front = sweep_locally(experiment(tmp_path, steps=20, every=1, trials=2), runner=Analytic(), listeners=[told])
    assert len(front.candidates) == 1 + 5 * 20
    assert sorted(told.evaluated) == sorted(told.names) == sorted(c.name for c in front.candidates)
    assert told.fronts == 6


class Killed(Exception):
    """Stands for the end of the driver."""


@pytest.mark.parametrize("moment", range(0, 26, 4))
def test_a_sweep_interrupted_anywhere_is_completed_as_if_nothing_had_happened(tmp_path: Path, moment: int) -> None:
    spec = experiment(tmp_path, trials=6, every=10, concurrent=3)
    whole = sweep_locally(with_values(spec, {"name": "whole"}), runner=Analytic())
    left = moment

    def dies(candidate: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    log = tmp_path / "log"
    log.mkdir()
    with pytest.raises(Killed):
        sweep_locally(spec, seed=moment, runner=Analytic(log=log), listeners=[Told(after=dies)])
    content = (tmp_path / "probe" / JOURNAL).read_bytes()
    (tmp_path / "probe" / JOURNAL).write_bytes(content[: len(content) - random.Random(moment).randrange(60)])
    finished = {c.name for c in load_front(tmp_path / "probe").candidates if c.status == "finished"}
    resumed = sweep_locally(spec, resume=True, seed=1, runner=Analytic(log=log))
    assert essence(resumed) == essence(whole)
    assert finished <= {c.name for c in resumed.candidates}
    assert TrialState.RUNNING not in states(tmp_path / "probe").values()


def test_a_driver_that_is_killed_at_random_moments_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    whole = sweep_locally(experiment(tmp_path, trials=8, every=10, concurrent=3, name="whole"), runner=Analytic())
    kill_and_resume(tmp_path, random.Random(0), kills=3)
    assert essence(load_front(tmp_path / "probe")) == essence(whole)


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_25_moments_of_its_code_a_sweep_ends_as_if_nothing_had_happened(tmp_path: Path, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.search.killing", str(tmp_path), str(seed), "25"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        check=True,
    )
    moments = json.loads(done.stdout.splitlines()[-1])["moments"]
    assert len(moments) == 25
    # in many places, over a good part of the sweep, and with more to do after the last
    assert len({moment["where"] for moment in moments}) >= 10
    assert 6 <= moments[-1]["begun"] < 20
    whole, probe = load_front(tmp_path / "whole"), load_front(tmp_path / "probe")
    assert essence(probe) == essence(whole)
    assert len({c.name for c in probe.candidates}) == len(probe.candidates) == 1 + 3 * 19
    assert {c.status for c in probe.candidates} == {"finished"}
    assert [c.name for c in probe.front] == [c.name for c in whole.front]
    assert np.array_equal(probe.points, whole.points)
    assert probe.reference == whole.reference and probe.hypervolume == whole.hypervolume
    assert asked(tmp_path / "probe") == asked(tmp_path / "whole")


def asked(directory: Path) -> list[tuple[str, dict[str, Any], TrialState, Any]]:
    """What Optuna's study holds, in its order: each trial once, with its suggestion and its end."""
    storage = Journal(Storage.of(directory)).storage()
    (study,) = storage.get_all_studies()
    found = storage.get_all_trials(study._study_id)
    return [(t.user_attrs["trial"], t.params, t.state, t.values) for t in found]


def kill_and_resume(folder: Path, order: random.Random, kills: int) -> None:
    """Start the driver, SIGKILL it once it has begun some more trials, and in the end let it finish."""
    log = folder / "log"
    log.mkdir()
    for number in range(kills + 1):
        before = len(list(log.iterdir()))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.search.local", str(folder), str(log), "0.02"],
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        more = order.randrange(1, 4)
        while number < kills and process.poll() is None and len(list(log.iterdir())) < before + more:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        if number < kills:
            process.send_signal(signal.SIGKILL)
            process.wait()
        else:
            assert process.wait() == 0
    attempts: dict[str, int] = {}
    for path in log.iterdir():
        attempts[path.name.rpartition(".")[0]] = attempts.get(path.name.rpartition(".")[0], 0) + 1
    # with one trial running at a time, a kill makes at most one trial begin again
    assert sum(attempts.values()) - len(attempts) <= kills


def test_a_run_of_trials_that_all_fail_ends_early_with_the_first_cause(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=50, concurrent=1)
    faults = dict.fromkeys(["base", "naive", "replay-only", "equal", *(f"t{i:04d}" for i in range(50))], "error")
    with pytest.raises(DriveReplayError, match=r"base first: The clip a/b is broken\. Remove it\."):
        sweep_locally(spec, runner=Analytic(faults))
    assert len(load_front(tmp_path / "probe").candidates) == 4


def test_early_stopping_rescues_and_replicates_work_together(tmp_path: Path) -> None:
    spec = experiment(
        tmp_path, trials=12, every=5, steps=30, concurrent=2, scheduler={"grace": 1, "reduction": 2.0},
        racing={"seeds": 2, "budget": 3}, sampler="mixture",
    )  # fmt: skip
    front = sweep_locally(spec, runner=Analytic())
    status = {c.trial: c.status for c in front.candidates}
    assert {"finished", "stopped"} <= set(status.values())
    assert 1 <= sum(c.kind == "replicate" for c in front.candidates if c.step == 30) <= 3
    assert not {c.trial for c in front.front} & {t for t, s in status.items() if s != "finished"}
    again = sweep_locally(spec, resume=True, runner=Analytic())
    assert essence(again) == essence(front)


def test_a_proposal_is_verified_and_its_error_reported(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=8, proposals=2)
    front = sweep_locally(spec, runner=Analytic())
    assert [c.trial for c in front.candidates if c.kind == "proposal"] == ["p0000", "p0001"]
    told = json.loads((tmp_path / "probe" / "predictions.json").read_text())["proposals"]
    assert len(told) == 2
    for one in told:
        for name, error in one["error"].items():
            assert error == pytest.approx(one["predicted"][name] - one["observed"][name])


def test_limits_keep_candidates_off_the_front(tmp_path: Path) -> None:
    spec = experiment(tmp_path, constraints={"loss.motion": 0.0})
    front = sweep_locally(spec, runner=Analytic())
    base = next(c for c in front.candidates if c.kind == "base")
    assert all(c.metrics["loss.motion"].mean <= base.metrics["loss.motion"].mean for c in front.front)
    assert any(c.metrics["loss.motion"].mean > base.metrics["loss.motion"].mean for c in front.candidates)
    assert [c.name for c in load_front(tmp_path / "probe").front] == [c.name for c in front.front]


def test_a_changed_space_begins_a_new_study_that_knows_the_old_trials(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=4)
    sweep_locally(spec, runner=Analytic())
    space = {"replay.frequency": {"uniform": [0.0, 0.9]}, "replay.weights": "simplex"}
    wider = with_values(spec, {"search.space": space, "search.trials": 6})
    front = sweep_locally(wider, resume=True, runner=Analytic())
    assert sum(c.kind == "trial" for c in front.candidates) == 6


class Cut(BaseException):
    """Stands for the end of a trial's process and of the driver."""


class CutOff(Analytic):
    """t0000 is cut off after its first evaluation."""

    def outcome(self, spec: Any, request: Any, step: int, fault: str = "") -> Any:
        if (request.trial, step) == ("t0000", 20):
            raise Cut
        return super().outcome(spec, request, step, fault)


@pytest.mark.parametrize("scheduler", [None, {"grace": 1, "reduction": 3.0}], ids=["whole", "halving"])
def test_a_trial_that_was_cut_off_does_not_go_on_with_other_values(tmp_path: Path, scheduler: Any) -> None:
    change = {"search.space": {"replay.frequency": {"uniform": [0.0, 0.9]}, "replay.weights": "simplex"}}
    spec = experiment(tmp_path, trials=3, every=10, concurrent=1, sampler="random", scheduler=scheduler)
    with pytest.raises(Cut):
        sweep_locally(spec, runner=CutOff())
    before = {c.name: c for c in load_front(tmp_path / "probe").candidates}
    assert before["t0000@10"].status == "running"
    (tmp_path / "probe" / "trials" / "t0000" / "checkpoints").mkdir()
    changed = with_values(spec, change)
    front = sweep_locally(changed, resume=True, runner=Analytic())
    for candidate in front.candidates:
        figures = Analytic().values(with_values(spec, dict(candidate.parameters)), candidate.step)
        assert candidate.values(("loss.looks", "loss.motion")) == pytest.approx(figures)
    anew = [c for c in front.candidates if c.trial == "t0000"]
    assert {c.status for c in anew} == {"finished"}
    assert {c.seed for c in anew} == {changed.seed}
    assert all(c.parameters != before["t0000@10"].parameters for c in anew)
    assert not (tmp_path / "probe" / "trials" / "t0000" / "checkpoints").exists()
    # what had finished is as it was
    assert {c.name: c for c in front.candidates if c.name in before and c.trial != "t0000"} == {
        name: c for name, c in before.items() if c.trial != "t0000"
    }


def test_sweeps_on_one_storage_never_mix(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=2)
    one = sweep_locally(spec, runner=Analytic())
    two = sweep_locally(with_values(spec, {"name": "two", "seed": 5}), runner=Analytic())
    assert essence(load_front(tmp_path / "probe")) == essence(one)
    assert essence(load_front(tmp_path / "two")) == essence(two)
    with pytest.raises(SpecError, match="already holds a sweep"):
        sweep_locally(spec, runner=Analytic())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": {"grace": 1}}, "no trial could be stopped"),
        ({"constraints": {"loss.motion": -1.0}}, "below 0"),
        ({"space": {"replay.frequency": {"uniform": [0.5, 0.1]}}}, "reversed or equal"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        sweep_locally(experiment(tmp_path, **changes), runner=Analytic())
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("sampler", ["tpe", "mixture"])
def test_no_setting_is_trained_twice_with_one_seed(tmp_path: Path, sampler: str) -> None:
    log = tmp_path / "log"
    log.mkdir()
    space = {"replay.frequency": {"choice": [0.1, 0.3, 0.5]}}
    spec = experiment(tmp_path, trials=12, concurrent=1, sampler=sampler, space=space)
    front = sweep_locally(spec, runner=Analytic(log=log))
    trials = [c for c in front.candidates if c.kind == "trial"]
    assert sorted(c.parameters["replay.frequency"] for c in trials) == [0.1, 0.3, 0.5]
    assert len(list(log.iterdir())) == 3 + 4  # and the anchors
    # with racing a repeated setting gets the next seed, and is one place on the front
    racing = with_values(spec, {"name": "racing", "search.racing": {"seeds": 2, "budget": 1}})
    front = sweep_locally(racing, runner=Analytic())
    pairs = [(c.parameters["replay.frequency"], c.seed) for c in front.candidates if c.kind in ("trial", "replicate")]
    assert len(set(pairs)) == len(pairs) > 3
    assert len({c.setting for c in front.front}) == len(front.front)


def test_a_cost_can_be_an_objective_and_a_constraint(tmp_path: Path) -> None:
    spec = experiment(
        tmp_path, trials=3, every=10, objectives=["loss.motion", "cost.device_hours"],
        constraints={"cost.device_hours": 25 / 3600},
    )  # fmt: skip

    class Priced(Analytic):
        def directions(self, objectives: Any) -> tuple[str, ...]:
            return ("min",) * len(objectives)

    front = sweep_locally(spec, runner=Priced())
    figures = {c.step: c.metrics["cost.device_hours"].mean for c in front.candidates if c.kind == "trial"}
    assert figures == pytest.approx({step: step / 3600 for step in (10, 20, 30)})
    assert front.front and max(c.step for c in front.front) == 20


def test_a_sweep_that_finds_nothing_more_ends_early(tmp_path: Path) -> None:
    class Flat(Analytic):
        def values(self, spec: Any, step: int) -> tuple[float, float]:
            return (1.0, 1.0) if spec.replay.frequency else (0.5, 0.5)

    spec = experiment(tmp_path, trials=30, concurrent=1, patience=4)
    front = sweep_locally(spec, runner=Flat())
    assert sum(c.kind == "trial" for c in front.candidates) == 5
    with pytest.raises(SpecError, match="patience"):
        with_values(spec, {"search.anchors": ["equal"]})


def test_the_slots_are_busy_nine_tenths_of_the_time() -> None:
    """In simulated time, trials of unlike length: 8 at a time under lag 8, and with early stopping without a lag."""
    import heapq

    import optuna

    from drivereplay.search.agenda import Agenda, Ended, lag_of
    from drivereplay.search.space import Space
    from drivereplay.search.suggestions import Suggestions
    from drivereplay.search.trial import TrialRequest

    for stopping in (False, True):
        spec = experiment(Path("/nowhere"), trials=120, sampler="random", anchors=[])
        space = Space.of(spec)
        study = optuna.create_study(directions=["minimize"] * 2)
        lag = lag_of(8, scheduler=stopping)
        agenda = Agenda(spec, space, Suggestions(study, space, spec), concurrent=8, lag=lag, ended={})
        rng = np.random.default_rng(0)
        clock, worked, running = 0.0, 0.0, list[tuple[float, int, TrialRequest]]()
        number = 0
        while (following := agenda.next()) != "finished":
            if isinstance(following, TrialRequest):
                # a stopped trial takes a sixth of the time; others differ by five per cent from each other
                length = float(rng.normal(1.0, 0.05)) * (1 / 6 if stopping and rng.random() < 2 / 3 else 1.0)
                heapq.heappush(running, (clock + length, number, following))
                worked, number = worked + length, number + 1
                continue
            clock, _, request = heapq.heappop(running)
            agenda.end(request.trial, Ended((clock, -clock), parameters=request.parameters))
        assert worked / 8 / clock >= 0.9
