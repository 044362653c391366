"""A sampler for domain mixes: Gaussian processes on their shares, and the expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.special import ndtr

from drivereplay.search.gaussian import GaussianProcess
from drivereplay.search.improvement import expected_improvement
from drivereplay.search.pool import Columns, Pool, joined, taken
from drivereplay.search.space import Space

Floats = NDArray[np.float64]
MOST_FITTED = 200
STARTUP = 4
"""Results, anchors among them, before the processes are fitted."""
REPEAT = 1e-3
"""Settings nearer than this in the features of `Pool` train on the same clips."""
VIOLATIONS = "violations"
"""User attribute of an Optuna trial: violations of the constraints, above 0 where violated."""
CURVE = "curve"
"""User attribute of an Optuna trial: [share of the whole run, objectives ...] of each evaluated checkpoint."""


@dataclass(frozen=True)
class Outside:
    """A result that the study cannot hold because its setting lies outside the space, such as the base or ρ = 1.

    Attributes:
        values: Its objectives in their own units.
        parameters: Its setting; None for the base, which is no setting.
        worse_by: Its violations of the constraints.
    """

    values: Sequence[float]
    parameters: Mapping[str, Any] | None
    worse_by: Sequence[float] = ()


@dataclass
class Knowledge:
    """What a sampler is told beside the study, by the order of trials.

    Attributes:
        reference: Reference point of the reported hypervolume, in the objectives' units; None while it is not fixed.
        outside: Results outside the space.
        running: Settings of trials that have been asked for and whose results are not told; None asks the study.
    """

    reference: tuple[float, ...] | None = None
    outside: list[Outside] = field(default_factory=list)
    running: Sequence[Mapping[str, Any]] | None = None


class MixtureSampler(BaseSampler):
    """Chooses the candidate with the largest expected hypervolume improvement from a pool made for mixes.

    What a run is trained on is the point q = (1 − ρ, ρ·w_1, ..., ρ·w_K) of a simplex: at ρ = 0 all mixes w are the same
    point, and neighbouring q train on nearly the same clips whatever their parametrisation. The processes see √q, in
    which Euclidean distance is Hellinger's; other searched values come beside it, scaled to [0, 1]. Pools hold mixes of
    all degrees of sparsity, because the ends of a front are often near a corner where a uniform draw hardly ever falls.
    Trials that still run count as done with their predicted outcome. The improvement is multiplied by the probability
    that all constraints are kept, each modelled by a process of its own (Gardner et al., 2014).

    Args:
        space: What is searched.
        seed: Of the pool.
        startup: Results before the processes are fitted.
        knowledge: Reference point, and results outside the space.
    """

    def __init__(self, space: Space, seed: int, startup: int = STARTUP, knowledge: Knowledge | None = None) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._startup = startup
        self._knowledge = knowledge or Knowledge()
        self._pool = Pool(space, self._rng)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The whole space; values that do not apply are proposed and not asked for."""
        return self._space.distributions()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The best of the pool."""
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        done = [t for t in others if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        complete = [t for t in done if t.state == TrialState.COMPLETE]
        pending = self._knowledge.running
        if pending is None:
            started = [t for t in others if t.state == TrialState.RUNNING and t.params]
            pending = [self._space.values_of(t.params) for t in started]
        sign = np.array([1.0 if way == StudyDirection.MINIMIZE else -1.0 for way in study.directions])
        seen = _Seen(self._pool, self._space, sign, curves=len(complete) < len(done))
        for t in done:
            seen.add(t)
        for result in self._knowledge.outside:
            seen.add_outside(result)
        waiting = [self._pool.known_features(setting) for setting in pending]
        running = np.array([features for features in waiting if features is not None])
        if len(seen.outputs) < self._startup or len(complete) < 2:
            return self._pool.encode(self._apart(seen, running))
        return self._pool.encode(self._best(seen, complete, running))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random; for parameters that the space did not have when the study began."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _apart(self, seen: _Seen, running: Floats) -> dict[str, Any]:
        """Before anything is known: the setting of a pool that is farthest from all others."""
        columns = self._pool.fresh(256)
        features = self._pool.features(columns)
        known = [*seen.features(), *running]
        if not known:
            return self._pool.setting(columns, 0)
        gap = np.linalg.norm(features[:, None] - np.array(known)[None], axis=2).min(axis=1)
        return self._pool.setting(columns, int(np.argmax(gap)))

    def _best(self, seen: _Seen, complete: Sequence[FrozenTrial], running: Floats) -> dict[str, Any]:
        """The setting with the largest expected improvement times the probability that it keeps the constraints."""
        outputs = np.array(seen.outputs)
        kept = _representative(outputs)
        inputs = seen.inputs(kept)
        models = [GaussianProcess.fit(inputs, outputs[kept, j]) for j in range(outputs.shape[1])]
        limits = seen.limits()
        if len(running):
            # a running trial is believed to come out as predicted, so that its neighbourhood is not proposed again
            models = [_believing(model, outputs[kept, j], seen.whole(running)) for j, model in enumerate(models)]
        front, best = seen.front()
        if len(running):
            believed = np.column_stack([model.predict(seen.whole(running))[0] for model in models])
            front = np.vstack([front, believed]) if len(front) else believed
        front = front[_non_dominated(front)] if len(front) else front
        reference = seen.reference(self._knowledge.reference)
        taken_already = np.array([*seen.features(), *running])

        def gain(columns: Columns) -> Floats:
            features = self._pool.features(columns)
            whole = seen.whole(features)
            predicted = [model.predict(whole) for model in models]
            means = np.column_stack([p[0] for p in predicted])
            deviations = np.column_stack([p[1] for p in predicted])
            gains = np.ones(len(whole))
            if len(front) or not limits:
                gains = expected_improvement(means, deviations, front, reference)
            for limit in limits:
                mean, deviation = limit.predict(features)
                gains = gains * ndtr(-mean / deviation)
            gap = _squared_gap(features, taken_already)
            return np.where(gap < REPEAT**2, -1.0, gains)

        columns = self._pool.draw(best)
        gains = gain(columns)
        for spread in (0.3, 0.1, 0.03):
            top = np.argsort(-gains)[:8]
            near = self._pool.near(taken(columns, np.repeat(top, 16)), np.full(128, spread))
            columns = joined(taken(columns, top), near)
            gains = gain(columns)
        return self._pool.setting(columns, int(np.argmax(gains)))


def _believing(model: GaussianProcess, outputs: Floats, running: Floats) -> GaussianProcess:
    """The model after the running trials have come out as it predicts."""
    believed = model.predict(running)[0]
    return GaussianProcess.given(np.vstack([model.inputs, running]), np.concatenate([outputs, believed]), model.theta)


class _Seen:
    """What the processes are fitted to: final figures, or whole curves where some trials were stopped early.

    With curves, the share of the run behind a checkpoint is one more input, so that what is cheap to see at low steps
    says something about the end.

    Args:
        curves: Use curves.
    """

    def __init__(self, pool: Pool, space: Space, sign: Floats, curves: bool) -> None:
        self._pool = pool
        self._space = space
        self._sign = sign
        self._curves = curves
        self._settings: list[Mapping[str, Any]] = []
        self._features: list[Floats] = []
        self._rows: list[tuple[int, float]] = []
        self._ends: list[tuple[Floats, Sequence[float], int]] = []
        self.outputs: list[Floats] = []

    def add(self, trial: FrozenTrial) -> None:
        """A trial that is complete or was pruned."""
        setting = self._space.values_of(trial.params)
        features = self._pool.known_features(setting)
        assert features is not None  # it was suggested, or could be encoded
        self._put(setting, features)
        curve = trial.user_attrs.get(CURVE) if self._curves else None
        values = trial.values if trial.state == TrialState.COMPLETE else None
        self._results(curve or [[1.0, *(values or ())]])
        if values is not None:
            worse_by = trial.user_attrs.get(VIOLATIONS, ())
            self._ends.append((np.array(values) * self._sign, worse_by, len(self._features) - 1))

    def add_outside(self, result: Outside) -> None:
        """A result outside the space; one without a setting only counts for the front."""
        features = None if result.parameters is None else self._pool.known_features(result.parameters)
        costs = np.array(result.values) * self._sign
        if features is None:
            self._ends.append((costs, result.worse_by, -1))
            return
        assert result.parameters is not None
        self._put(result.parameters, features)
        self._results([[1.0, *result.values]])
        self._ends.append((costs, result.worse_by, len(self._features) - 1))

    def _put(self, setting: Mapping[str, Any], features: Floats) -> None:
        self._settings.append(setting)
        self._features.append(features)

    def _results(self, curve: Sequence[Sequence[float]]) -> None:
        for share, *values in curve:
            self._rows.append((len(self._features) - 1, float(share)))
            self.outputs.append(np.array(values) * self._sign)

    def features(self) -> list[Floats]:
        """(d,) of each setting."""
        return self._features

    def whole(self, features: Floats) -> Floats:
        """(n, d') inputs of whole runs."""
        return np.hstack([features, np.ones((len(features), 1))]) if self._curves else features

    def inputs(self, kept: NDArray[np.intp]) -> Floats:
        """(k, d') inputs of some rows of the outputs."""
        features = np.array([self._features[self._rows[i][0]] for i in kept])
        if not self._curves:
            return features
        return np.hstack([features, np.array([[self._rows[i][1]] for i in kept])])

    def front(self) -> tuple[Floats, list[Mapping[str, Any]]]:
        """(n, m) non-dominated costs within the constraints, and the settings behind them."""
        allowed = [end for end in self._ends if all(v <= 0 for v in end[1])]
        if not allowed:
            return np.zeros((0, len(self._sign))), []
        costs = np.array([end[0] for end in allowed])
        rows = _non_dominated(costs)
        return costs[rows], [self._settings[allowed[i][2]] for i in rows if allowed[i][2] >= 0]

    def limits(self) -> list[GaussianProcess]:
        """A process for the violation of each constraint."""
        known = [(end[1], end[2]) for end in self._ends if end[2] >= 0 and len(end[1])]
        if len(known) < 2:
            return []
        inputs = np.array([self._features[row] for _, row in known])
        violations = np.array([worse_by for worse_by, _ in known], dtype=np.float64)
        # a trial without the metric violates its constraint by an agreed 1e9, which would flatten all else
        usual = np.where(np.abs(violations) < 1e8, violations, np.nan)
        for j in range(violations.shape[1]):
            top = np.nanmax(usual[:, j]) if np.isfinite(usual[:, j]).any() else 1.0
            usual[:, j] = np.where(np.isnan(usual[:, j]), max(float(top), 0.0) + 1e-9, usual[:, j])
        last = slice(-MOST_FITTED, None)
        return [GaussianProcess.fit(inputs[last], column[last]) for column in usual.T]

    def reference(self, reported: tuple[float, ...] | None) -> Floats:
        """(m,) the reported reference point as costs, or a tenth of the span beyond the worst seen."""
        if reported is not None:
            return np.array(reported) * self._sign
        outputs = np.array([end[0] for end in self._ends])
        return np.asarray(outputs.max(axis=0) + 0.1 * np.ptp(outputs, axis=0) + 1e-9)


def _squared_gap(features: Floats, others: Floats) -> Floats:
    """(n,) squared distance of each row to the nearest of the others; infinity without any."""
    if not len(others):
        return np.full(len(features), np.inf)
    squared = (features**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2.0 * features @ others.T
    return np.maximum(squared.min(axis=1), 0.0)


def _non_dominated(costs: Floats) -> NDArray[np.intp]:
    import moocore

    return np.flatnonzero(moocore.is_nondominated(costs, keep_weakly=False))


def _representative(costs: Floats) -> NDArray[np.intp]:
    """At most `MOST_FITTED` rows: the best ranks first, which are what the front is made of."""
    import moocore

    if len(costs) <= MOST_FITTED:
        return np.arange(len(costs))
    half = MOST_FITTED // 2
    best = np.argsort(moocore.pareto_rank(costs), kind="stable")[:half]
    rest = np.setdiff1d(np.arange(len(costs)), best)
    return np.concatenate([best, rest[np.linspace(0, len(rest) - 1, half).astype(int)]])
