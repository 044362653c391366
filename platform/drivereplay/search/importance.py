"""What matters for which objective, and what each place on the front gives up."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, eligible, signs
from drivereplay.search.samplers import quiet_optuna

SEARCHED = ("trial", "replicate", "proposal")
SHUFFLES = 19
"""A share above all of so many shuffled ones is there by chance in one of twenty cases."""
LEAST = 8
"""Settings below which no importance is stated."""


def importance(front: Front) -> dict[str, dict[str, float | None]]:
    """Objective → searched value → its share of the importance, by PED-ANOVA (arXiv 2304.10255).

    PED-ANOVA asks how differently a value is distributed among the better settings and among all. It counts what varies
    among the searched trials: anchors lie at the ends of the space by design and are left out. A mix counts as one
    value per domain, its weight; `step` is in where trials were evaluated at several steps. None stands for a share
    that is not determined: one no larger than when the objective's figures are shuffled (`SHUFFLES` times).
    Empty below `LEAST` settings.
    """
    rows = [c for c in eligible(front.candidates, front.objectives) if c.kind in SEARCHED and not c.variant]
    if len({c.setting or c.trial for c in rows}) < LEAST:
        return {}
    flat = [_flat(c) for c in rows]
    columns, distributions = _columns(flat)
    if not columns:
        return {}
    quiet_optuna()
    costs = np.array([c.values(front.objectives) for c in rows]) * signs(front.directions)
    found: dict[str, dict[str, float | None]] = {}
    rng = np.random.default_rng(0)
    for m, objective in enumerate(front.objectives):
        shares = _shares(columns, distributions, costs[:, m])
        by_chance = [_shares(columns, distributions, rng.permutation(costs[:, m])) for _ in range(SHUFFLES)]
        most = {name: max(other[name] for other in by_chance) for name in shares}
        sure = {name: share for name, share in shares.items() if share > most[name]}
        total = sum(sure.values())
        found[objective] = {name: sure[name] / total if name in sure and total > 0 else None for name in shares}
    return found


def _columns(flat: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """Values that vary, by name, and their Optuna distributions; one that not every setting has is filled in.

    A mix is missing at ρ = 0, and a value whose condition does not hold: the middle of the others stands for it.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    columns: dict[str, list[Any]] = {}
    distributions: dict[str, Any] = {}
    for name in dict.fromkeys(key for f in flat for key in f):
        known = [f[name] for f in flat if name in f]
        if len({repr(v) for v in known}) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
            middle = float(np.median(known))
            columns[name] = [float(f.get(name, middle)) for f in flat]
            distributions[name] = FloatDistribution(min(columns[name]), max(columns[name]))
        else:
            columns[name] = [repr(f.get(name)) for f in flat]
            distributions[name] = CategoricalDistribution(sorted(set(columns[name])))
    return columns, distributions


def _shares(columns: Mapping[str, list[Any]], distributions: Mapping[str, Any], costs: Any) -> dict[str, float]:
    """PED-ANOVA's importance of each value for one objective."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    study = optuna.create_study()
    for row, cost in enumerate(costs):
        parameters = {name: column[row] for name, column in columns.items()}
        study.add_trial(
            optuna.trial.create_trial(value=float(cost), params=parameters, distributions=dict(distributions))
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(), normalize=False)
    return {name: float(found.get(name, 0.0)) for name in columns}


def given_up(front: Front) -> list[dict[str, Any]]:
    """For each place on the front: name, and by objective how much worse it is than the best found, in its unit."""
    if not front.front:
        return []
    costs = front.points * signs(front.directions)
    behind = costs - costs.min(axis=0)
    return [
        {"name": candidate.name, **dict(zip(front.objectives, row.tolist(), strict=True))}
        for candidate, row in zip(front.front, behind, strict=True)
    ]


def _flat(candidate: Candidate) -> Mapping[str, Any]:
    flat: dict[str, Any] = {"step": candidate.step}
    for key, value in candidate.parameters.items():
        if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
            flat.update({f"{key}.{n}": float(v) for n, v in enumerate(value)})
        else:
            flat[key] = value
    return flat
