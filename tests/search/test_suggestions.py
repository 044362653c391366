"""A suggestion depends on seed, number and what was told, and on nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from tests.search.problems import Analytic, experiment

from drivereplay.errors import SpecError
from drivereplay.search.journal import FILE, Journal
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions, check_journal, study_name
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage


def opened(spec: Spec, journal: Journal | None = None) -> tuple[Suggestions, optuna.Study]:
    storage = None if journal is None else journal.storage()
    study = optuna.create_study(
        storage=storage, study_name="s", load_if_exists=True, directions=["minimize", "minimize"]
    )
    return Suggestions(study, Space.of(spec), spec, journal), study


def run(spec: Spec, suggestions: Suggestions, first: int, last: int) -> list[dict[str, Any]]:
    found = []
    for number in range(first, last):
        values = suggestions.suggest(number, f"t{number}")
        suggestions.tell(f"t{number}", Analytic().values(with_values(spec, values), 30), values)
        found.append(values)
    return found


@pytest.mark.parametrize(
    "sampler",
    [
        "tpe",
        "nsga2",
        "random",
        "qmc",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gp", "nsga3", "mixture")),
    ],
)
def test_an_interrupted_study_suggests_what_an_uninterrupted_one_does(tmp_path: Path, sampler: str) -> None:
    spec = experiment(tmp_path, sampler=sampler, trials=16)
    whole = run(spec, opened(spec)[0], 0, 10)
    # a new process for every suggestion, and a cut in the middle of one
    storage = Storage.of(tmp_path / sampler)
    parts: list[dict[str, Any]] = []
    for number in range(10):
        journal = Journal(storage)
        suggestions, _ = opened(spec, journal)
        if number == 6:
            suggestions.suggest(number, f"t{number}")
            journal.close()
            content = (tmp_path / sampler / FILE).read_bytes()
            (tmp_path / sampler / FILE).write_bytes(content[:-30])
            journal = Journal(storage)
            suggestions, _ = opened(spec, journal)
        parts += run(spec, suggestions, number, number + 1)
        journal.close()
    assert parts == whole
    assert run(with_values(spec, {"seed": 1}), opened(with_values(spec, {"seed": 1}))[0], 0, 3) != whole[:3] or (
        sampler == "qmc"  # a sequence has no seed of its own
    )


def test_failed_and_stopped_trials_never_count_as_complete(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    suggestions, study = opened(spec)
    for number, (values, curve) in enumerate([((1.0, 2.0), ()), (None, ()), (None, [(0.3, 1.0, 2.0)])]):
        suggestions.suggest(number, f"t{number}")
        suggestions.tell(f"t{number}", values, {}, curve=curve)
        suggestions.tell(f"t{number}", (9.0, 9.0), {})  # a second time does nothing
    assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]
    assert study.trials[2].user_attrs["curve"] == [[0.3, 1.0, 2.0]]


def test_anchors_are_added_where_the_space_can_express_them(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    suggestions, study = opened(spec)
    suggestions.tell("naive", (1.0, 2.0), {"replay.frequency": 0.0})
    suggestions.tell("replay-only", (2.0, 1.0), {"replay.frequency": 1.0})
    suggestions.tell("equal", None, {"replay.frequency": 0.25})
    assert [t.user_attrs["trial"] for t in study.trials] == ["naive"]
    # samplers that only model what all trials have in common still see the whole space
    assert set(study.trials[0].params) == set(Space.of(spec).distributions())


def test_studies_of_other_searches_have_other_names(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    name = study_name(spec, ("min", "min"))
    assert name.startswith("probe-")
    assert study_name(with_values(spec, {"search.trials": 99}), ("min", "min")) == name
    others = [{"seed": 1}, {"search.sampler": "gp"}, {"search.space": {"replay.weights": "simplex"}}]
    assert len({study_name(with_values(spec, change), ("min", "min")) for change in others} | {name}) == 4
    check_journal([name], spec, "study.journal")
    with pytest.raises(SpecError, match="holds the study other-123"):
        check_journal(["other-123"], spec, "study.journal")
