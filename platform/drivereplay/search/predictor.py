"""A white-box predictor: one law per objective over the shares that are trained on and the steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.space import WEIGHTS
from drivereplay.spec import Spec, with_values

Floats = NDArray[np.float64]
_RIDGE = 1e-2


@dataclass(frozen=True)
class MixingLaw:
    """L(q, s) = c + σ·(s/S)^(−β)·exp(Σ_j t_j·q_j): the exponential data mixing law with a power of the steps.

    The law over mixes is that of arXiv 2403.16952. q = (1 − ρ, ρ·w_1, ..., ρ·w_K) are the shares of the target and of
    the replay domains, s the optimiser steps, S those of a whole run. The factor before the exponential is part of t,
    because the shares sum to 1.

    Attributes:
        sign: σ, +1 where more of a domain's pull raises the figure.
        offset: c, in the objective's unit.
        power: β.
        pulls: t, (K + 1,).
        error: Root mean square error of figures left out of the fit (5 folds), in the objective's unit.
        spread: Standard deviation of the figures, to compare the error with.
    """

    sign: float
    offset: float
    power: float
    pulls: Floats
    error: float
    spread: float

    def predict(self, shares: Floats, progress: Floats) -> Floats:
        """(n,) figures at (n, K + 1) shares and (n,) s/S."""
        return _value(self.sign, np.array([self.offset, self.power, *self.pulls]), shares, progress)


def fit_law(shares: Floats, progress: Floats, figures: Floats) -> MixingLaw:
    """Fit one law by least squares.

    Args:
        shares: (n, K + 1).
        progress: (n,) s/S in (0, 1].
        figures: (n,), in the objective's unit.

    Raises:
        SpecError: Fewer than four figures.
    """
    if len(figures) < 4:
        raise SpecError(f"A law over mixes needs 4 finished candidates, there are {len(figures)}.", "Run more trials.")
    sign, theta = _fit(shares, progress, figures)
    folds = np.arange(len(figures)) % min(5, len(figures))
    errors = np.empty(len(figures))
    for fold in np.unique(folds):
        rest = folds != fold
        _, other = _refined(sign, theta, shares[rest], progress[rest], figures[rest])
        errors[~rest] = _value(sign, other, shares[~rest], progress[~rest]) - figures[~rest]
    error = float(np.sqrt(np.mean(errors**2)))
    return MixingLaw(sign, float(theta[0]), float(theta[1]), theta[2:], error, float(figures.std()))


def critical_frequency(
    law: MixingLaw, direction: str, mix: Sequence[float], tolerance: float, most: float = 1.0
) -> float:
    """The largest ρ at which an objective is worse than at ρ = 0 by no more than a tolerance.

    It is the counterpart of the critical mixture ratio of continual pre-training (CMR, arXiv 2407.17467): there the
    largest share of new data that keeps the old loss, here the largest share of replay that keeps the new fidelity.

    Args:
        direction: `min` or `max`.
        mix: w, sum 1.
        tolerance: In the objective's unit, 0 or more.
        most: Largest ρ looked at.
    """
    rho = np.linspace(0.0, most, 1001)
    shares = np.column_stack([1 - rho, *(rho * w for w in mix)])
    found = law.predict(shares, np.ones(len(rho)))
    worse = (found - found[0]) * (1.0 if direction == "min" else -1.0)
    allowed = np.flatnonzero(worse > tolerance + 1e-12)
    return float(rho[allowed[0] - 1]) if len(allowed) else float(most)


def shares_of(spec: Spec) -> Floats:
    """q of an experiment: (1 − ρ, ρ·w_1, ..., ρ·w_K), for a ramp the mean over the run."""
    replay = spec.replay
    end = replay.frequency if replay.frequency_end is None else replay.frequency_end
    rho = (replay.frequency + end) / 2
    mix = (np.array(replay.mix) + np.array(replay.mix_end)) / 2
    return np.array([1 - rho, *(rho * mix)])


def padded(parameters: Mapping[str, Any], spec: Spec) -> dict[str, Any]:
    """A setting whose mixes have weight 0 for domains that were added to the experiment later."""
    count = len(spec.replay.domains)
    mixes = {key: value for key, value in parameters.items() if key in (WEIGHTS, f"{WEIGHTS}_end") and value}
    return {**parameters, **{key: [*value, *[0.0] * (count - len(value))] for key, value in mixes.items()}}


@dataclass(frozen=True)
class Predictor:
    """Laws of all objectives.

    Attributes:
        laws: By objective.
        objectives, directions: As in the experiment.
        candidates: How many figures the laws rest on.
    """

    laws: Mapping[str, MixingLaw]
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    candidates: int

    @classmethod
    def of(
        cls, spec: Spec, directions: Sequence[str], candidates: Sequence[Candidate], *, step: int | None = None
    ) -> Predictor:
        """Fit to finished candidates; every evaluated checkpoint counts.

        Args:
            spec: The sweep's experiment.
            directions: `min` or `max` of each objective.
            candidates: Any; unfinished ones, the base and variants are left out.
            step: S; None takes `training.steps`.
        """
        objectives = spec.search.objectives
        whole = step or spec.training.steps
        used = [
            c
            for c in candidates
            if c.status == "finished" and c.step > 0 and not c.variant and _finite(c.values(objectives))
        ]
        shares = np.array([shares_of(with_values(spec, padded(c.parameters, spec))) for c in used])
        progress = np.array([c.step / whole for c in used])
        figures = np.array([c.values(objectives) for c in used]).reshape(len(used), len(objectives))
        laws = {name: fit_law(shares, progress, figures[:, m]) for m, name in enumerate(objectives)}
        return cls(laws, objectives, tuple(directions), len(used))

    def predict(self, shares: Floats) -> Floats:
        """(n, m) figures of whole runs at (n, K + 1) shares."""
        return np.column_stack([self.laws[n].predict(shares, np.ones(len(shares))) for n in self.objectives])

    def predicted_front(
        self,
        spec: Spec,
        keeps: Callable[[dict[str, Any]], bool] = lambda setting: True,
        *,
        points: int = 512,
        seed: int = 0,
    ) -> list[tuple[dict[str, Any], Floats]]:
        """Non-dominated settings of the search space by the laws alone, with their predicted figures.

        Args:
            keeps: Whether a setting is expected to keep the constraints; the others only count if none does.
            points: Settings looked at, with mixes from even to pure.
        """
        from drivereplay.search.front import non_dominated, signs
        from drivereplay.search.pool import Pool
        from drivereplay.search.space import Space

        space = Space.of(spec)
        pool = Pool(space, np.random.default_rng(seed))
        columns = pool.fresh(points)
        # what does not apply is left out, as in any suggestion
        settings = [space.values_of(pool.encode(pool.setting(columns, row))) for row in range(points)]
        settings = [setting for setting in settings if keeps(setting)] or settings
        found = self.predict(np.array([shares_of(with_values(spec, setting)) for setting in settings]))
        kept = np.flatnonzero(non_dominated(found * signs(self.directions)))
        return [(settings[i], found[i]) for i in kept]

    def to_json(self, spec: Spec) -> dict[str, Any]:
        """The laws, their errors, and the critical ρ for a tolerated loss of a tenth of each objective's spread."""
        names = [domain.name for domain in spec.domains]
        return {
            "candidates": self.candidates,
            "laws": {
                objective: {
                    "formula": "c + sign * (s/S)^-beta * exp(sum t_j q_j)",
                    "sign": law.sign,
                    "c": law.offset,
                    "beta": law.power,
                    "t": dict(zip(names, law.pulls.tolist(), strict=True)),
                    "error": law.error,
                    "spread": law.spread,
                    "critical_frequency": critical_frequency(law, way, spec.replay.mix, 0.1 * law.spread),
                }
                for (objective, law), way in zip(self.laws.items(), self.directions, strict=True)
            },
        }


def _finite(values: Sequence[float]) -> bool:
    return all(math.isfinite(v) for v in values)


def _value(sign: float, theta: Floats, shares: Floats, progress: Floats) -> Floats:
    pull = np.clip(shares @ theta[2:] - theta[1] * np.log(progress), -50.0, 50.0)
    return np.asarray(theta[0] + sign * np.exp(pull), dtype=np.float64)


def _fit(shares: Floats, progress: Floats, figures: Floats) -> tuple[float, Floats]:
    """Best of both signs and a few starts."""
    scale = float(figures.std()) or 1.0
    best: tuple[float, float, Floats] | None = None
    for sign in (1.0, -1.0):
        for reach in (0.5, 2.0, 8.0):
            offset = figures.min() - reach * scale if sign > 0 else figures.max() + reach * scale
            pull = math.log(max(abs(float(figures.mean()) - offset), 1e-9))
            start = np.array([offset, 0.0, *np.full(shares.shape[1], pull)])
            cost, theta = _refined(sign, start, shares, progress, figures)
            if best is None or cost < best[0]:
                best = (cost, sign, theta)
    assert best is not None
    return best[1], best[2]


def _refined(sign: float, start: Floats, shares: Floats, progress: Floats, figures: Floats) -> tuple[float, Floats]:
    """Least squares from one start; a weak ridge keeps domains that were hardly seen at the common pull."""
    scale = float(figures.std()) or 1.0

    def residuals(theta: Floats) -> Floats:
        misfit = (_value(sign, theta, shares, progress) - figures) / scale
        return np.concatenate([misfit, _RIDGE * (theta[2:] - theta[2:].mean()), [_RIDGE * theta[1]]])

    size = shares.shape[1]
    centring = _RIDGE * (np.eye(size) - 1.0 / size)

    def jacobian(theta: Floats) -> Floats:
        grown = sign * np.exp(np.clip(shares @ theta[2:] - theta[1] * np.log(progress), -50.0, 50.0))[:, None] / scale
        misfit = np.hstack([np.full((len(shares), 1), 1.0 / scale), -grown * np.log(progress)[:, None], grown * shares])
        ridge = np.block([[np.zeros((size, 2)), centring], [np.array([[0.0, _RIDGE]]), np.zeros((1, size))]])
        return np.vstack([misfit, ridge])

    found = least_squares(residuals, start, jac=jacobian, max_nfev=100)
    return float(found.cost), np.asarray(found.x)
