"""TPE over a bounded choice of trials: Optuna's own suggestions on short studies, the important trials on long ones."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.samplers._gp import sampler as gp_sampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from drivereplay.search.front import non_dominated
from drivereplay.search.mixture import VIOLATIONS
from drivereplay.search.shortlist import BEST, OTHERS, RUNNING, ShortlistGP, ShortlistTPE, shortlist

SPACE: dict[str, BaseDistribution] = {"rho": FloatDistribution(0.0, 0.6), "u1": FloatDistribution(0.0, 1.0)}
WAYS = [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def study_of(finished: int, running: int, *, failed: int = 0, conditional: bool = False) -> optuna.Study:
    """Random settings of a noisy trade-off; one in ten lacks `u1` if conditional."""
    generator = np.random.default_rng(0)
    study = optuna.create_study(directions=["minimize", "maximize"])
    for number in range(finished + running + failed):
        params = {name: float(generator.uniform(d.low, d.high)) for name, d in SPACE.items()}  # type: ignore[attr-defined]
        if conditional and number % 10 == 0:
            params = {"rho": 0.0}
        values = [params["rho"] + float(generator.normal(0, 0.1)), params.get("u1", 0.5) + params["rho"]]
        state = TrialState.COMPLETE if number < finished else TrialState.RUNNING
        state = TrialState.FAIL if number >= finished + running else state
        study.add_trial(
            create_trial(
                state=state,
                values=values if state == TrialState.COMPLETE else None,
                params=params,
                distributions={name: SPACE[name] for name in params},
            )
        )
    return study


def suggested(study: optuna.Study, sampler: BaseSampler) -> tuple[dict[str, float], FrozenTrial]:
    study.sampler = sampler
    trial = study.ask()
    values = {"rho": trial.suggest_float("rho", 0.0, 0.6), "u1": trial.suggest_float("u1", 0.0, 1.0)}
    frozen = study.get_trials(deepcopy=False)[trial.number]
    return values, frozen


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("finished", "running"), [(5, 0), (40, 7), (BEST + OTHERS, RUNNING)])
def test_on_a_short_study_the_suggestions_are_optunas(finished: int, running: int, conditional: bool) -> None:
    def ask(kind: type[TPESampler], seed: int) -> dict[str, float]:
        sampler = kind(seed=seed, multivariate=True, group=True, n_startup_trials=10)
        return suggested(study_of(finished, running, conditional=conditional), sampler)[0]

    for seed in range(3):
        assert ask(ShortlistTPE, seed) == ask(TPESampler, seed)


def test_on_a_long_study_the_sampler_sees_the_best_some_others_and_the_latest_running() -> None:
    study = study_of(700, 90, failed=5)
    trials = study.get_trials(deepcopy=False)
    shown = shortlist(trials, WAYS)
    numbers = [t.number for t in shown]
    assert numbers == sorted(set(numbers))
    states = [t.state for t in shown]
    assert states.count(TrialState.COMPLETE) == BEST + OTHERS and states.count(TrialState.RUNNING) == RUNNING
    assert TrialState.FAIL not in states
    costs = np.array([t.values for t in trials[:700]]) * [1.0, -1.0]
    front = set(np.flatnonzero(non_dominated(costs)).tolist())
    assert 3 < len(front) <= BEST and front <= set(numbers)
    # the others stand for the whole length of the study
    assert min(numbers) < 20 and max(n for n in numbers if n < 700) > 680
    assert numbers[-RUNNING:] == list(range(790 - RUNNING, 790))
    assert [t.number for t in shortlist(trials, WAYS, without=789)] == [*numbers[: BEST + OTHERS], *range(725, 789)]


def test_what_violates_a_constraint_is_not_among_the_best() -> None:
    study = study_of(400, 0)
    best = {t.number for t in study.best_trials}
    trials = [
        create_trial(
            values=t.values, params=t.params, distributions=t.distributions,
            user_attrs={VIOLATIONS: [1.0 if t.number in best else -1.0]},
        )
        for t in study.get_trials(deepcopy=False)
    ]  # fmt: skip
    for number, trial in enumerate(trials):
        trial.number = number
    allowed = [n for n in range(400) if n not in best]
    costs = np.array([trials[n].values for n in allowed]) * [1.0, -1.0]
    runners_up = {allowed[i] for i in np.flatnonzero(non_dominated(costs)).tolist()}
    assert len(runners_up) <= BEST
    shown = {t.number for t in shortlist(trials, WAYS)}
    assert runners_up <= shown
    assert not best <= shown


def test_a_front_longer_than_the_list_is_seen_along_its_whole_length() -> None:
    trials = []
    for number in range(300):
        trial = create_trial(
            values=[number / 300, number / 300], params={"rho": 0.1}, distributions={"rho": SPACE["rho"]}
        )
        trial.number = number
        trials.append(trial)
    shown = [t.number for t in shortlist(trials, WAYS)]
    assert len(shown) == BEST + OTHERS and shown[0] == 0 and shown[-1] == 299
    assert max(np.diff(shown)) <= 300 / BEST + 1


def test_a_long_study_is_searched_near_its_good_settings_the_same_each_time_and_without_notes() -> None:
    def ask(seed: int, study: optuna.Study) -> tuple[dict[str, float], FrozenTrial]:
        return suggested(study, ShortlistTPE(seed=seed, multivariate=True, group=True, n_startup_trials=10))

    study = study_of(700, 0)
    found = [ask(seed, study) for seed in range(30)]
    # the second objective wants u1 high, the first does not mind
    assert np.mean([values["u1"] for values, _ in found]) > 0.7
    assert all(trial.system_attrs == {} for _, trial in found)
    assert ask(0, study_of(700, 0))[0] == found[0][0] != ask(1, study_of(700, 0))[0]


def test_gaussian_processes_are_optunas_on_a_short_study_and_fitted_to_the_list_on_a_long_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask(sampler: type[GPSampler], finished: int) -> dict[str, float]:
        return suggested(study_of(finished, 2), sampler(seed=3, n_startup_trials=10))[0]

    assert ask(ShortlistGP, 20) == ask(GPSampler, 20)
    fitted: list[int] = []
    processes = gp_sampler.gp
    fit = processes.fit_kernel_params

    def counted(**given: Any) -> object:
        fitted.append(len(given["X"]))
        return fit(**given)

    monkeypatch.setattr(processes, "fit_kernel_params", counted)
    ask(ShortlistGP, 400)
    assert fitted and set(fitted) == {BEST + OTHERS}
