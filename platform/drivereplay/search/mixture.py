"""A sampler for data mixes: Gaussian processes over the shares that are trained on, exact hypervolume improvement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from drivereplay.search.gaussian import GaussianProcess
from drivereplay.search.improvement import expected_improvement
from drivereplay.search.pool import Pool
from drivereplay.search.space import Space

Floats = NDArray[np.float64]
MOST_FITTED = 200
VIOLATIONS = "violations"
"""User attribute of an Optuna trial: violations of the constraints, above 0 where violated."""
CURVE = "curve"
"""User attribute of an Optuna trial: [share of the whole run, objectives ...] of each evaluated checkpoint."""


class MixtureSampler(BaseSampler):
    """Chooses the candidate with the largest expected hypervolume improvement from a pool made for mixes.

    What a run is trained on is the point q = (1 − ρ, ρ·w_1, ..., ρ·w_K) of a simplex: at ρ = 0 all mixes w are the same
    point, and neighbouring q train on nearly the same clips whatever their parametrisation. The processes see √q, in
    which Euclidean distance is Hellinger's; other searched values come beside it, scaled to [0, 1]. Pools hold mixes of
    all degrees of sparsity, because the ends of a front are often near a corner where a uniform draw hardly ever falls.
    Trials that still run count as done with their predicted outcome.

    Args:
        space: What is searched.
        seed: Of the pool.
        startup: Suggestions that are drawn from the pool at random before the processes are fitted.
    """

    def __init__(self, space: Space, seed: int, startup: int) -> None:
        self._space = space
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed=seed)
        self._startup = startup
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
        if len(done) < self._startup or len(complete) < 3:
            return self._pool.encode(self._pool.first(len(others)))
        sign = np.array([1.0 if way == StudyDirection.MINIMIZE else -1.0 for way in study.directions])
        seen = _Seen(len(complete) < len(done))
        for t in done:
            seen.add(t, sign)
        allowed = [t for t in complete if all(v <= 0 for v in t.user_attrs.get(VIOLATIONS, ()))] or complete
        costs = np.array([t.values for t in allowed]) * sign
        pending = [t for t in others if t.state == TrialState.RUNNING and t.params]
        return self._pool.encode(self._best(seen, allowed, costs, pending))

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """At random; for parameters that the space did not have when the study began."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _features(self, trial: FrozenTrial) -> Floats:
        return self._pool.features(self._space.values_of(trial.params))

    def _best(
        self, seen: _Seen, done: Sequence[FrozenTrial], costs: Floats, pending: Sequence[FrozenTrial]
    ) -> dict[str, Any]:
        """The setting with the largest expected improvement over the front of `costs` (n, m) of `done`."""
        outputs = seen.outputs()
        worst, span = outputs.max(axis=0), np.ptp(outputs, axis=0)
        kept = _representative(outputs)
        # only of these: turning a trial's numbers into a mix costs more than all else that is done for each trial
        inputs, outputs = seen.inputs(kept, self._features), outputs[kept]
        models = [GaussianProcess.fit(inputs, outputs[:, j]) for j in range(costs.shape[1])]

        if len(pending):
            # a running trial is believed to come out as predicted, so that its neighbourhood is not proposed again
            waiting = np.array([seen.whole(self._features(t)) for t in pending])
            believed = np.column_stack([model.predict(waiting)[0] for model in models])
            extended = np.vstack([inputs, waiting])
            models = [
                GaussianProcess.given(extended, np.concatenate([outputs[:, j], believed[:, j]]), model.theta)
                for j, model in enumerate(models)
            ]
            costs = np.vstack([costs, believed])
            done = [*done, *pending]
        front = _non_dominated(costs)
        reference = worst + 0.1 * span + 1e-9
        best = [self._space.values_of(done[i].params) for i in front]

        def gain(candidates: Sequence[Mapping[str, Any]]) -> Floats:
            features = np.array([seen.whole(self._pool.features(c)) for c in candidates])
            predicted = [model.predict(features) for model in models]
            means = np.column_stack([p[0] for p in predicted])
            deviations = np.column_stack([p[1] for p in predicted])
            return expected_improvement(means, deviations, costs[front], reference)

        candidates = self._pool.draw(best)
        gains = gain(candidates)
        for spread in (0.3, 0.1, 0.03):
            top = [candidates[i] for i in np.argsort(-gains)[:8]]
            near = [self._pool.near(c, spread) for c in top for _ in range(16)]
            candidates = [*top, *near]
            gains = gain(candidates)
        return dict(candidates[int(np.argmax(gains))])


class _Seen:
    """What the processes are fitted to: final figures, or whole curves where some trials were stopped early.

    With curves, the share of the run behind a checkpoint is one more input, so that what is cheap to see at low steps
    says something about the end.

    Args:
        curves: Use curves.
    """

    def __init__(self, curves: bool) -> None:
        self._curves = curves
        self._rows: list[tuple[FrozenTrial, float]] = []
        self._outputs: list[Floats] = []

    def add(self, trial: FrozenTrial, sign: Floats) -> None:
        """A trial that is complete or was pruned."""
        curve = trial.user_attrs.get(CURVE) if self._curves else None
        for share, *values in curve or [[1.0, *trial.values]]:
            self._rows.append((trial, float(share)))
            self._outputs.append(np.array(values) * sign)

    def whole(self, features: Floats) -> Floats:
        """Inputs of a whole run."""
        return np.append(features, 1.0) if self._curves else features

    def outputs(self) -> Floats:
        """(n, m) costs."""
        return np.array(self._outputs)

    def inputs(self, kept: NDArray[np.intp], features: Callable[[FrozenTrial], Floats]) -> Floats:
        """(k, d) inputs of some rows."""
        known: dict[int, Floats] = {}
        found = []
        for trial, share in (self._rows[i] for i in kept):
            if trial.number not in known:
                known[trial.number] = features(trial)
            found.append(np.append(known[trial.number], share) if self._curves else known[trial.number])
        return np.array(found)


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
