"""The order of trials: anchors first, suggestions independent of which trial ends first, every trial once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.problems import Analytic, experiment

from drivereplay.search.agenda import Agenda, Ended, anchor_requests, lag_of
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions
from drivereplay.search.trial import TrialRequest
from drivereplay.spec import Spec, parse_spec, with_values


def agenda_of(
    spec: Spec, concurrent: int, ended: dict[str, Ended] | None = None, study: Any = None, **more: Any
) -> Agenda:
    study = study or optuna.create_study(directions=["minimize", "minimize"])
    space = Space.of(spec)
    suggestions = Suggestions(study, space, spec)
    return Agenda(spec, space, suggestions, concurrent=concurrent, lag=lag_of(concurrent), ended=ended or {}, **more)


def result(spec: Spec, request: TrialRequest) -> Ended:
    values = Analytic().values(request.spec(spec), 30)
    return Ended(values, device_hours=1.0, parameters=request.parameters)


def run(
    spec: Spec, agenda: Agenda, order: random.Random, stop_after: int | None = None
) -> tuple[list[TrialRequest], dict[str, Ended]]:
    """Trials end in any order, as `order` draws it."""
    live: list[TrialRequest] = []
    seen: list[TrialRequest] = []
    ended: dict[str, Ended] = {}
    while True:
        following = agenda.next()
        if isinstance(following, TrialRequest):
            live.append(following)
            seen.append(following)
            continue
        if following == "finished" or (stop_after is not None and len(ended) >= stop_after):
            return seen, ended
        one = live.pop(order.randrange(len(live)))
        ended[one.trial] = result(spec, one)
        agenda.end(one.trial, ended[one.trial])


def settings_of(requests: Sequence[TrialRequest]) -> dict[str, Any]:
    return {request.trial: request.parameters for request in requests}


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000), st.integers(0, 1000))
def test_suggestions_do_not_depend_on_the_order_in_which_trials_end(concurrent: int, a: int, b: int) -> None:
    spec = experiment(Path("/nowhere"), trials=10, sampler="tpe")
    first, _ = run(spec, agenda_of(spec, concurrent), random.Random(a))
    second, _ = run(spec, agenda_of(spec, concurrent), random.Random(b))
    assert settings_of(first) == settings_of(second)
    assert [r.trial for r in first][:4] == ["base", "naive", "replay-only", "equal"]
    assert len(first) == 14


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.integers(0, 13), st.integers(0, 1000))
def test_a_sweep_that_goes_on_asks_for_the_rest_and_nothing_twice(concurrent: int, cut: int, seed: int) -> None:
    spec = experiment(Path("/nowhere"), trials=10)
    whole, _ = run(spec, agenda_of(spec, concurrent), random.Random(seed))
    study = optuna.create_study(directions=["minimize", "minimize"])
    _, ended = run(spec, agenda_of(spec, concurrent, study=study), random.Random(seed), stop_after=cut)
    rest, _ = run(spec, agenda_of(spec, concurrent, ended, study), random.Random(seed))
    assert not {r.trial for r in rest} & ended.keys()
    assert {**{t: e.parameters for t, e in ended.items()}, **settings_of(rest)} == settings_of(whole)


def test_with_one_at_a_time_each_suggestion_knows_all_before(tmp_path: Path) -> None:
    assert [lag_of(c) for c in (1, 2, 8)] == [1, 2, 8]
    assert lag_of(8, scheduler=True) == 0
    spec = experiment(tmp_path, trials=3)
    agenda = agenda_of(spec, 1)
    assert isinstance(agenda.next(), TrialRequest)
    assert agenda.next() == "wait"


def test_a_slow_trial_is_overtaken_by_those_that_run_beside_it(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=10, anchors=[])
    agenda = agenda_of(spec, 2)
    slow = agenda.next()
    assert isinstance(slow, TrialRequest)
    overtaken = 0
    while isinstance(following := agenda.next(), TrialRequest):
        agenda.end(following.trial, result(spec, following))
        overtaken += 1
    assert (following, overtaken) == ("wait", 1)
    agenda.end(slow.trial, result(spec, slow))
    assert isinstance(agenda.next(), TrialRequest)


def test_the_budget_of_device_hours_ends_the_search(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=50, constraints={"gpu_hours": 6.0})
    agenda = agenda_of(spec, 2)
    seen, _ = run(spec, agenda, random.Random(0))
    assert 6 <= len(seen) <= 8
    assert agenda.complete


def test_anchors_are_what_their_names_say(tmp_path: Path) -> None:
    spec = with_values(experiment(tmp_path), {"replay.frequency_end": 0.5})
    anchors = {r.kind: r.parameters for r in anchor_requests(spec, Space.of(spec))}
    assert anchors["base"] == {}
    assert anchors["naive"] == {"replay.frequency": 0.0, "replay.frequency_end": None}
    assert anchors["replay-only"] == {
        "replay.frequency": 1.0, "replay.frequency_end": None, "replay.weights": pytest.approx([1 / 3] * 3),
    }  # fmt: skip
    assert anchors["equal"]["replay.weights"] == pytest.approx([1 / 3] * 3)
    assert anchors["equal"]["replay.frequency"] == 0.25
    naive_by_default = with_values(experiment(tmp_path), {"replay.frequency": 0.0})
    equal = anchor_requests(naive_by_default, Space.of(naive_by_default))[3]
    assert equal.parameters["replay.frequency"] == pytest.approx(0.3)  # the middle of what is searched
    source = {"kind": "videos", "path": "/nowhere"}
    alone = parse_spec(
        {
            "name": "alone",
            "target": {"name": "t", "source": source},
            "search": {"space": {"training.learning_rate": {"loguniform": [1e-5, 1e-3]}}},
        }
    )
    assert [r.kind for r in anchor_requests(alone, Space.of(alone))] == ["base", "naive"]


class Rescues:
    """Takes up every stopped trial once."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def rescued(self, stopped: Any) -> str | None:
        for name in sorted(stopped):
            if name not in self.taken:
                self.taken.append(name)
                return name
        return None


def test_a_stopped_trial_is_taken_up_again_before_new_ones_begin(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=3, anchors=[])
    agenda = agenda_of(spec, 1, halving=Rescues())
    first = agenda.next()
    assert isinstance(first, TrialRequest) and not first.again
    agenda.end(first.trial, Ended(None, parameters=first.parameters, curve=((0.3, 1.0, 1.0),), stopped=True))
    again = agenda.next()
    assert isinstance(again, TrialRequest)
    assert (again.trial, again.again, again.parameters) == (first.trial, True, first.parameters)
    agenda.end(again.trial, result(spec, again))
    assert agenda.next().trial == "t0001"  # type: ignore[union-attr]


def stopped(request: TrialRequest) -> Ended:
    return Ended(None, parameters=request.parameters, curve=((0.3, 1.0, 1.0),), stopped=True)


def begun(agenda: Agenda) -> TrialRequest:
    following = agenda.next()
    assert isinstance(following, TrialRequest)
    return following


def told(study: Any) -> list[tuple[str, str]]:
    return [(t.user_attrs["trial"], t.state.name) for t in study.trials if t.state.is_finished()]


def test_a_trial_taken_up_again_is_told_once_unless_it_was_told_as_stopped(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=4, anchors=[])
    study = optuna.create_study(directions=["minimize", "minimize"])
    agenda = agenda_of(spec, 2, study=study, halving=Rescues())
    first, second = begun(agenda), begun(agenda)
    agenda.end(first.trial, stopped(first))
    again = begun(agenda)
    assert (again.trial, again.again, told(study)) == ("t0000", True, [])
    agenda.end(again.trial, result(spec, again))
    agenda.end(second.trial, result(spec, second))
    run(spec, agenda, random.Random(0))
    assert told(study) == [(f"t000{i}", "COMPLETE") for i in range(4)]


def test_a_resumed_driver_tells_of_a_trial_that_went_on(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=2, anchors=[])
    study = optuna.create_study(directions=["minimize", "minimize"])
    agenda = agenda_of(spec, 1, study=study)
    first = begun(agenda)
    agenda.end(first.trial, stopped(first))
    assert begun(agenda).trial == "t0001" and told(study) == [("t0000", "PRUNED")]
    # the driver is killed when the trial has been taken up again and has ended
    for _ in range(2):
        run(spec, agenda_of(spec, 1, {first.trial: result(spec, first)}, study), random.Random(0))
    assert sorted(told(study)) == [("t0000", "PRUNED"), ("t0000-again", "COMPLETE"), ("t0001", "COMPLETE")]


def test_violations_are_asked_for_once_the_base_has_ended(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=4, anchors=["naive", "equal", "base"])
    study = optuna.create_study(directions=["minimize", "minimize"])
    ended: set[str] = set()

    def worse_by(trial: str) -> tuple[float, ...]:
        assert {trial, "base"} <= ended
        return (0.5,)

    agenda = agenda_of(spec, 3, study=study, worse_by=worse_by)
    naive, equal, base = begun(agenda), begun(agenda), begun(agenda)
    for request in (naive, equal):
        ended.add(request.trial)
        agenda.end(request.trial, result(spec, request))
    # the first suggestion rests on the first anchor, which is told of when the base has ended
    assert agenda.next() == "wait"
    ended.add(base.trial)
    agenda.end(base.trial, result(spec, base))
    assert begun(agenda).trial == "t0000"
    assert study.trials[0].user_attrs["violations"] == [0.5]


def test_replicates_follow_in_rounds_once_all_else_has_ended(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=2, anchors=[])

    def follow(requests: Sequence[TrialRequest]) -> list[TrialRequest]:
        round_number = sum(r.kind == "replicate" for r in requests) // 2
        if round_number == 2:
            return []
        return [TrialRequest(f"t000{i}-s{round_number + 1}", "replicate", round_number + 1, {}, "t") for i in (0, 1)]

    agenda = agenda_of(spec, 2, follow=follow)
    seen, _ = run(spec, agenda, random.Random(0))
    assert [r.trial for r in seen] == ["t0000", "t0001", "t0000-s1", "t0001-s1", "t0000-s2", "t0001-s2"]
    assert agenda.complete
