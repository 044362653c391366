"""Optuna's samplers by the names of `search.sampler`, made anew for each suggestion."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna import samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from drivereplay.errors import SpecError
from drivereplay.search.mixture import CURVE, VIOLATIONS, Knowledge, MixtureSampler
from drivereplay.search.shortlist import ShortlistGP, ShortlistTPE
from drivereplay.search.space import Space
from drivereplay.spec import SearchSpec

__all__ = ["CURVE", "VIOLATIONS", "SobolSampler", "make_sampler", "quiet_optuna", "startup_trials"]

Constraints = Callable[[FrozenTrial], Sequence[float]]


def make_sampler(
    search: SearchSpec,
    seed: int,
    space: Space,
    number: int,
    constraints: Constraints | None = None,
    knowledge: Knowledge | None = None,
) -> BaseSampler:
    """The sampler of one suggestion.

    Args:
        search: The `search` section.
        seed: Of its random numbers; a sweep gives each suggestion a seed of its own.
        space: What is searched.
        number: Of the suggestion.
        constraints: Values above 0 of a finished trial are violations.
        knowledge: What `mixture` is told beside the study.

    Raises:
        SpecError: `qlognehvi` without its extra.
    """
    start = startup_trials(search)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match sampler_name(search):
            case "tpe":
                return ShortlistTPE(
                    seed=seed,
                    multivariate=True,
                    group=True,
                    n_startup_trials=start,
                    constraints_func=constraints,
                )
            case "gp":
                return ShortlistGP(seed=seed, n_startup_trials=start, constraints_func=constraints)
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=start, constraints_func=constraints)
            case "nsga3":
                return samplers.NSGAIIISampler(seed=seed, population_size=start, constraints_func=constraints)
            case "random":
                return samplers.RandomSampler(seed=seed)
            case "qmc":
                return SobolSampler(space.distributions(), number, seed=0)
            case "mixture":
                return MixtureSampler(space, seed, knowledge=knowledge)
            case "qlognehvi":
                return _botorch(seed, start, constraints)
    raise ValueError(f"unknown sampler {search.sampler}")


class SobolSampler(BaseSampler):
    """Point number n of a scrambled Sobol sequence over all parameters, used or not.

    Optuna's own sampler counts its points in the study, so that a kill between counting and using skips one.

    Args:
        distributions: All parameters of the space, in a fixed order.
        number: n.
        seed: Of the scrambling; the same for all points of a sequence.
    """

    def __init__(self, distributions: Mapping[str, BaseDistribution], number: int, seed: int) -> None:
        import numpy as np
        from scipy.stats import qmc

        engine = qmc.Sobol(max(len(distributions), 1), scramble=True, rng=np.random.default_rng(seed))
        with warnings.catch_warnings():
            # a single point is no balanced block of 2^m, and is not meant to be
            warnings.simplefilter("ignore", UserWarning)
            point = (engine.fast_forward(number) if number else engine).random(1)[0]
        self._values = {
            name: _at(distribution, float(unit))
            for (name, distribution), unit in zip(distributions.items(), point, strict=False)
        }

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """None: each parameter is looked up on its own."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The point's coordinate."""
        return self._values[param_name]


def _at(distribution: BaseDistribution, unit: float) -> Any:
    """The quantile `unit` of a distribution."""
    match distribution:
        case CategoricalDistribution():
            return distribution.choices[min(int(unit * len(distribution.choices)), len(distribution.choices) - 1)]
        case IntDistribution():
            return min(distribution.low + int(unit * (distribution.high - distribution.low + 1)), distribution.high)
        case FloatDistribution(log=True):
            return float(distribution.low * (distribution.high / distribution.low) ** unit)
        case FloatDistribution():
            return distribution.low + unit * (distribution.high - distribution.low)
    raise TypeError(f"unknown distribution {distribution!r}")


def quiet_optuna() -> None:
    """Optuna reports every study and every fallback; what matters is in the sweep's own lines."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def sampler_name(search: SearchSpec) -> str:
    """`search.sampler` with `auto` decided: a mix is searched with `mixture`, anything else with TPE."""
    if search.sampler != "auto":
        return search.sampler
    mixes = [form == "simplex" or (isinstance(form, dict) and "simplex" in form) for form in search.space.values()]
    return "mixture" if any(mixes) else "tpe"


def startup_trials(search: SearchSpec) -> int:
    """Trials drawn at random before the sampler learns; for the genetic ones the size of a generation."""
    return max(4, min(20, round(search.trials / 4)))


def _botorch(seed: int, start: int, constraints: Constraints | None) -> BaseSampler:
    try:
        from optuna_integration.botorch import (  # type: ignore[import-not-found, unused-ignore]
            BoTorchSampler,
            qnehvi_candidates_func,  # the logarithmic form wherever BoTorch has it, which ours does
        )

        # without BoTorch itself the import passes and this fails
        sampler: BaseSampler = BoTorchSampler(
            candidates_func=qnehvi_candidates_func,
            n_startup_trials=start,
            seed=seed,
            constraints_func=constraints,
            consider_running_trials=True,
        )
    except ImportError as error:
        raise SpecError(
            f"search.sampler: qlognehvi needs BoTorch ({error}).", "Install it: pip install 'drivereplay[botorch]'."
        ) from error
    return sampler
