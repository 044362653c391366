"""What matters for which objective, and what each place on the front gives up."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, eligible, signs
from drivereplay.search.samplers import quiet_optuna

LEAST = 8
"""Settings below which no importance is stated."""


def importance(front: Front) -> dict[str, dict[str, float]]:
    """Objective → searched value → its share of the importance, by PED-ANOVA (arXiv 2304.10255).

    PED-ANOVA asks how differently a value is distributed among the better settings and among all. A mix counts as one
    value per domain, its weight; `step` is in where trials were judged at several steps. Empty below `LEAST` settings.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution
    from optuna.importance import PedAnovaImportanceEvaluator

    rows = [c for c in eligible(front.candidates, front.objectives) if c.kind != "base" and not c.variant]
    flat = [_flat(c) for c in rows]
    names = [name for name in dict.fromkeys(k for f in flat for k in f) if all(name in f for f in flat)]
    distributions: dict[str, Any] = {}
    for name in names:
        values = [f[name] for f in flat]
        if len({repr(v) for v in values}) < 2:
            continue
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            distributions[name] = FloatDistribution(float(min(values)), float(max(values)))
        else:
            distributions[name] = CategoricalDistribution(sorted({repr(v) for v in values}))
    if len(rows) < LEAST or not distributions:
        return {}
    quiet_optuna()
    found: dict[str, dict[str, float]] = {}
    costs = np.array([c.values(front.objectives) for c in rows]) * signs(front.directions)
    for m, objective in enumerate(front.objectives):
        study = optuna.create_study()
        for f, cost in zip(flat, costs[:, m], strict=True):
            parameters = {
                n: repr(f[n]) if isinstance(d, CategoricalDistribution) else float(f[n])
                for n, d in distributions.items()
            }
            study.add_trial(
                optuna.trial.create_trial(value=float(cost), params=parameters, distributions=distributions)
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        total = sum(shares.values())
        found[objective] = {name: share / total if total > 0 else 0.0 for name, share in shares.items()}
    return found


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
