"""Problems whose fronts are known, for `bench_search.py`: the tables of RegMix, and ZDT and DTLZ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np

from drivereplay.spec import Spec, parse_spec

TABLES = Path(__file__).resolve().parents[3] / "shared" / "bench" / "regmix"
REFERENCE = 1.1
Values = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Objectives, all minimised and scaled, of the values that a space suggests."""

    spec: Spec
    costs: Callable[[Values], np.ndarray]
    volume: float
    cheap: Callable[[Values], np.ndarray] | None = None


def experiment(space: dict[str, Any], domains: int, sampler: str, trials: int, seed: int) -> Spec:
    source = {"kind": "videos", "path": "/nowhere"}
    return parse_spec(
        {
            "name": "bench",
            "seed": seed,
            "target": {"name": "target", "source": source},
            "replay": {"frequency": 1.0, "domains": [{"name": f"d{i}", "source": source} for i in range(domains)]},
            "training": {"steps": 100},
            "search": {
                "objectives": ["a.a", "b.b"],
                "space": space,
                "sampler": sampler,
                "trials": trials,
                "anchors": [],
            },
        }
    )


def volume_of(costs: np.ndarray) -> float:
    inside = costs[np.all(costs < REFERENCE, axis=1)]
    return float(moocore.hypervolume(inside, ref=[REFERENCE] * costs.shape[1])) if len(inside) else 0.0


def regmix(sampler: str, trials: int, seed: int, table: str = "test") -> Problem:
    """The 256 mixtures of 17 domains at 60 M (cheap: 1 M) parameters, or the 512 at 1 M.

    A mix stands for its nearest row (Euclidean); the objectives are the losses on github and pile-cc.
    """

    def read(name: str) -> np.ndarray:
        return np.genfromtxt(TABLES / name, delimiter=",", skip_header=1)[:, 1:]

    size = "60m" if table == "test" else "1m"
    mixes, losses = read(f"{table}_mixture_{size}.csv"), read(f"{table}_pile_loss_{size}.csv")
    header = (TABLES / f"{table}_pile_loss_{size}.csv").read_text().split("\n", 1)[0].split(",")[1:]
    columns = [next(i for i, name in enumerate(header) if key in name) for key in ("github", "pile_cc")]

    def scaled(values: np.ndarray) -> np.ndarray:
        found = values[:, columns]
        return (found - found.min(axis=0)) / np.ptp(found, axis=0)

    costs = scaled(losses)
    cheap = scaled(read("test_pile_loss_1m.csv")) if table == "test" else None
    mixes = mixes / mixes.sum(axis=1, keepdims=True)

    def row(values: Values) -> int:
        return int(np.argmin(((mixes - np.asarray(values["replay.weights"])) ** 2).sum(axis=1)))

    spec = experiment({"replay.weights": "simplex"}, mixes.shape[1], sampler, trials, seed)
    return Problem(
        spec, lambda v: costs[row(v)], volume_of(costs), None if cheap is None else (lambda v: cheap[row(v)])
    )


def analytic(name: str, sampler: str, trials: int, seed: int) -> Problem:
    """ZDT or DTLZ of pymoo, scaled by the ranges of its true front, in the learning rate, λ and six more keys."""
    from pymoo.problems import get_problem

    problem = get_problem(name, n_var=8) if name.startswith("zdt") else get_problem(name, n_var=8, n_obj=2)
    front = problem.pareto_front()
    low, span = front.min(axis=0), np.ptp(front, axis=0)
    keys = [
        "replay.frequency", "training.ema", "augment", "training.weight_decay", "training.retention.l2sp",
        "training.retention.ewc", "training.retention.distill", "replay.loss_weight", "training.learning_rate",
    ]  # fmt: skip
    keys = [key for key in keys if key not in ("augment", "training.ema")] + ["training.bad_clips"]
    bounds = {key: [1e-9, 1.0] for key in keys}
    spec = experiment({key: {"uniform": bounds[key]} for key in keys}, 1, sampler, trials, seed)

    def costs(values: Values) -> np.ndarray:
        return (problem.evaluate(np.array([values[key] for key in keys])) - low) / span

    return Problem(spec, costs, volume_of((front - low) / span))
