"""Optuna's TPE and GP over a bounded choice of the earlier trials: a suggestion costs the same at any length."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from drivereplay.search.mixture import VIOLATIONS

BEST, OTHERS, RUNNING = 50, 78, 64
"""Finished trials among the best, other finished ones, and running ones that are shown to the sampler at most."""
_COMPLETE, _PRUNED, _RUNNING = TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING


class _Shortlisted(BaseSampler):
    """A sampler of Optuna's, which comes after this class, that sees `shortlist` of the study instead of all of it."""

    _seen: _Seen | None = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As Optuna's."""
        return super().infer_relative_search_space(self._view(study, trial), trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As Optuna's."""
        return super().sample_relative(self._view(study, trial), trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As Optuna's."""
        return super().sample_independent(self._view(study, trial), trial, param_name, param_distribution)

    def _view(self, study: optuna.Study, trial: FrozenTrial) -> _Seen:
        if self._seen is None or self._seen.asking != trial.number:
            self._seen = _Seen(study, trial)
        return self._seen


class ShortlistGP(_Shortlisted, GPSampler):
    """Optuna's Gaussian processes, whose fit grows with the cube of the trials; the same up to 128 of them."""


class ShortlistTPE(_Shortlisted, TPESampler):
    """Optuna's TPE on a shortlist.

    TPE fits one density to the best tenth of the trials and one to the rest. Its time is spent on looking at every
    earlier trial several times over, in Python, although a kernel more or less changes neither density once there are
    enough of them. Up to 128 finished and 64 running trials nothing is left out, and the suggestions are Optuna's own.

    Args:
        arguments: Of `optuna.samplers.TPESampler`.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._gamma = self._good

    def _good(self, shown: int) -> int:
        """How many trials count as good: a tenth of all, as in Optuna, though no more than are shown."""
        return min(math.ceil(0.1 * (self._seen.finished if self._seen is not None else shown)), BEST)


class _Seen(optuna.Study):
    """A study of which only a part is seen, for as long as one suggestion takes.

    Attributes:
        asking: Number of the trial that is asked for.
        finished: Complete and pruned trials of the whole study.
    """

    def __init__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self.__dict__.update(study.__dict__)
        # the sampler would note its proposal for others that ask the same study; a sweep has one driver
        self._storage: Any = _Unshared()
        self.asking = trial.number
        trials = study.get_trials(deepcopy=False)
        self.finished = sum(t.state is _COMPLETE or t.state is _PRUNED for t in trials)
        self._trials = shortlist(trials, study.directions, trial.number)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        return [t for t in self._trials if states is None or t.state in states]


class _Unshared:
    """Where a note to other processes goes that do not exist."""

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Nothing."""


def shortlist(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], without: int = -1
) -> list[FrozenTrial]:
    """The trials that TPE needs, in the order of their numbers.

    Args:
        trials: Of any state, in the order of their numbers; failed ones are left out.
        directions: Of the objectives.
        without: Number of a trial that is left out.

    Returns:
        All complete and pruned trials up to `BEST` + `OTHERS`; beyond that the `BEST` by rank of dominance, evenly
        along the first objective within the last rank, and `OTHERS` spread evenly over the rest. The latest `RUNNING`
        beside.
    """
    done: list[FrozenTrial] = []
    running: list[FrozenTrial] = []
    # one pass with few look-ups: it is all of the work that grows with the study
    for trial in trials:
        state = trial.state
        if state is _COMPLETE or state is _PRUNED:
            done.append(trial)
        elif state is _RUNNING and trial.number != without:
            running.append(trial)
    if len(done) > BEST + OTHERS:
        best = _best(done, directions)
        rest = np.ones(len(done), dtype=np.bool_)
        rest[best] = False
        others = np.flatnonzero(rest)
        others = others[np.linspace(0, len(others) - 1, BEST + OTHERS - len(best)).astype(int)]
        done = [done[i] for i in np.union1d(best, others)]
    return sorted([*done, *running[-RUNNING:]], key=lambda trial: trial.number)


def _best(done: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> NDArray[np.intp]:
    """Positions of at most `BEST` of the complete trials that violate nothing."""
    import moocore

    where: list[int] = []
    rows: list[Sequence[float]] = []
    for position, trial in enumerate(done):
        violations = trial.user_attrs.get(VIOLATIONS)
        if trial.state is _COMPLETE and not (violations and any(v > 0 for v in violations)):
            where.append(position)
            rows.append(trial.values)
    if len(where) <= BEST:
        return np.array(where, dtype=np.intp)
    costs = np.array(rows) * [1.0 if way == StudyDirection.MINIMIZE else -1.0 for way in directions]
    ranks = np.asarray(moocore.pareto_rank(costs))
    last = int(np.partition(ranks, BEST - 1)[BEST - 1])
    better, level = np.flatnonzero(ranks < last), np.flatnonzero(ranks == last)
    level = level[np.argsort(costs[level, 0], kind="stable")]
    kept = level[np.linspace(0, len(level) - 1, BEST - len(better)).astype(int)]
    return np.array(where, dtype=np.intp)[np.union1d(better, kept)]
