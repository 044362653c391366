"""All samplers by name; the quasi-random one by number."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from tests.search.problems import Analytic, experiment

from drivereplay.errors import SpecError
from drivereplay.search.samplers import SobolSampler, make_sampler, startup_trials
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions
from drivereplay.spec import SearchSpec, with_values


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tpe", "ShortlistTPE"), ("gp", "ShortlistGP"), ("nsga2", "NSGAIISampler"), ("nsga3", "NSGAIIISampler"),
        ("random", "RandomSampler"), ("qmc", "SobolSampler"), ("mixture", "MixtureSampler"),
    ],
)  # fmt: skip
def test_names_give_samplers(name: str, kind: str) -> None:
    spec = experiment(Path("/nowhere"), sampler=name)
    assert type(make_sampler(spec.search, 0, Space.of(spec), 0)).__name__ == kind


NO_BOTORCH = any(importlib.util.find_spec(name) is None for name in ("optuna_integration", "botorch"))


@pytest.mark.skipif(not NO_BOTORCH, reason="the extra is installed")
def test_botorch_without_its_extra_is_refused_with_the_fix() -> None:
    spec = experiment(Path("/nowhere"), sampler="qlognehvi")
    with pytest.raises(SpecError, match=r"pip install 'drivereplay\[botorch\]'"):
        make_sampler(spec.search, 0, Space.of(spec), 0)


@pytest.mark.slow
@pytest.mark.skipif(NO_BOTORCH, reason="BoTorch is not installed: pip install 'drivereplay[botorch]'")
def test_qlognehvi_keeps_away_from_trials_that_still_run(tmp_path: Path) -> None:
    spec = experiment(tmp_path, sampler="qlognehvi", trials=40)
    space = Space.of(spec)

    def asked(pending: Sequence[dict[str, float]]) -> dict[str, float]:
        """What is suggested after the same twelve results, while these run; in the units of the space's numbers."""
        study = optuna.create_study(directions=["minimize"] * 2)
        suggestions = Suggestions(study, space, with_values(spec, {"search.sampler": "random"}))
        for number in range(12):
            setting = suggestions.suggest(number, f"t{number}")
            costs = Analytic().values(with_values(spec, setting), 30)
            suggestions.tell(f"t{number}", costs, setting)
        for params in pending:
            running = optuna.trial.create_trial(
                state=TrialState.RUNNING, params=params, distributions=space.distributions(params)
            )
            study.add_trial(running)
        study.sampler = make_sampler(spec.search, 7, space, 12)
        trial = study.ask()
        space.suggest(trial)
        return dict(trial.params)

    alone = asked([])
    assert set(alone) == set(space.distributions())
    assert asked([]) == alone  # the same seed and results give the same suggestion
    units = {"replay.frequency": 0.6}

    def distance(other: dict[str, float]) -> float:
        return max(abs(other[name] - alone[name]) / units.get(name, 1.0) for name in alone)

    assert distance(asked([alone])) > 0.02


def test_sobol_points_fill_the_space_evenly_in_any_order() -> None:
    names = {
        "a": FloatDistribution(0, 10),
        "b": FloatDistribution(1e-4, 1.0, log=True),
        "c": IntDistribution(1, 4),
        "d": CategoricalDistribution(["x", "y"]),
    }
    study = optuna.create_study()

    def point(number: int) -> dict[str, object]:
        sampler = SobolSampler(names, number, seed=0)
        trial = optuna.trial.create_trial(value=0.0)
        return {name: sampler.sample_independent(study, trial, name, d) for name, d in names.items()}

    points = [point(i) for i in reversed(range(32))]
    assert point(7) == points[31 - 7]
    assert np.histogram([p["a"] for p in points], bins=8, range=(0, 10))[0].tolist() == [4] * 8
    assert np.histogram(np.log10([float(str(p["b"])) for p in points]), bins=4, range=(-4, 0))[0].tolist() == [8] * 4
    assert sorted([p["c"] for p in points]) == sorted([1, 2, 3, 4] * 8)  # type: ignore[type-var]
    assert [p["d"] for p in points].count("x") == 16


def test_a_quarter_of_the_trials_is_for_the_start_within_bounds() -> None:
    assert [startup_trials(SearchSpec(trials=n)) for n in (0, 12, 40, 64, 1000)] == [4, 4, 10, 16, 20]
