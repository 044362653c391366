"""Problems whose fronts are known, for `bench_search.py`: mixes of domains, the tables of RegMix, ZDT and DTLZ."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from scipy.optimize import least_squares

from drivereplay.spec import Spec, parse_spec, with_values

TABLES = Path(__file__).resolve().parents[3] / "shared" / "bench" / "regmix"
REFERENCE = 1.1
TUNED_PAIR = ("github", "pile_cc")
"""The one pair of losses that the search was tuned on; all others are held out."""
HELD_OUT_PAIRS = (("arxiv", "hackernews"), ("stackexchange", "wikipedia_en"), ("uspto", "gutenberg"))
Values = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Objectives, all minimised, of the values that a space suggests.

    Attributes:
        spec: The experiment that is searched.
        costs: True costs (m,) of a setting.
        volume: Hypervolume of the true front against `reference`, within the constraint.
        reference: (m,) corner of the hypervolume.
        noise: Standard deviation of what a trial reports around the true costs.
        worse_by: Violation of the constraint by a setting, above 0 where violated; None without one.
        cheap: Costs at the first rung of a trial; None where a trial has no rungs.
    """

    spec: Spec
    costs: Callable[[Values], np.ndarray]
    volume: float
    reference: tuple[float, ...] = (REFERENCE, REFERENCE)
    noise: float = 0.0
    worse_by: Callable[[Values], float] | None = None
    cheap: Callable[[Values], np.ndarray] | None = None

    def observed(self, values: Values, number: int) -> np.ndarray:
        """(m,) costs as trial `number` reports them."""
        draws = np.random.default_rng([self.spec.seed, number]).normal(0.0, 1.0, len(self.reference))
        return self.costs(values) + self.noise * draws

    def share(self, settings: list[Values]) -> float:
        """Hypervolume of the true costs of settings, those within the constraint, as a share of the true front's."""
        kept = [v for v in settings if self.worse_by is None or self.worse_by(v) <= 0]
        return volume_of(np.array([self.costs(v) for v in kept]), self.reference) / self.volume if kept else 0.0


def experiment(
    space: dict[str, Any], domains: int, sampler: str, trials: int, seed: int, anchors: tuple[str, ...] = ()
) -> Spec:
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
                "anchors": list(anchors),
            },
        }
    )


def volume_of(costs: np.ndarray, reference: tuple[float, ...] = (REFERENCE, REFERENCE)) -> float:
    inside = costs[np.all(costs < np.array(reference), axis=1)] if len(costs) else costs
    return float(moocore.hypervolume(inside, ref=list(reference))) if len(inside) else 0.0


def shares(values: Values, domains: int) -> np.ndarray:
    """(K + 1,) shares of the target and of the replay domains: q = (1 − ρ, ρ·w)."""
    rho = float(values.get("replay.frequency", 1.0))
    mix = np.asarray(values.get("replay.weights", [1.0 / domains] * domains))
    return np.array([1.0 - rho, *(rho * mix)])


def _typical(
    figures: Callable[[np.ndarray], np.ndarray], base: np.ndarray, domains: int, sampler: str, trials: int, seed: int,
    noise: float, constrained: bool,
) -> Problem:  # fmt: skip
    """ρ in [0, .6] and a mix, with anchors, scored by the rule of the reference point: the span of base and naive.

    Args:
        figures: (n, K + 1) shares → (n, 2) costs.
        base: (2,) costs of the base.
        noise: As a share of the span.
        constrained: A third figure, the mean of both costs plus the share of the last domain, is limited.
    """
    rng = np.random.default_rng(12345)
    rho, mixes = rng.uniform(0, 0.6, 20_000), rng.dirichlet(np.full(domains, 0.5), 20_000)
    many = np.column_stack([1 - rho, rho[:, None] * mixes])
    naive = figures(np.array([[1.0, *[0.0] * domains]]))[0]
    found = figures(many)
    low, span = found.min(axis=0), np.ptp(found, axis=0)
    scaled = (found - low) / span
    anchors = (np.array([base, naive]) - low) / span
    reference = anchors.max(axis=0) + 0.1 * np.ptp(anchors, axis=0)

    def side(costs: np.ndarray, q: np.ndarray) -> np.ndarray:
        return np.asarray(costs.mean(axis=-1) + 1.5 * q[..., -1])

    limit = float(np.quantile(side(scaled, many), 0.4)) if constrained else np.inf
    inside = scaled[side(scaled, many) <= limit]
    spec = experiment(
        {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"}, domains, sampler, trials, seed,
        ("base", "naive", "replay-only", "equal"),
    )  # fmt: skip

    def costs(values: Values) -> np.ndarray:
        if not values:
            return np.asarray(anchors[0])  # the base
        return np.asarray((figures(shares(values, domains)[None])[0] - low) / span)

    def worse_by(values: Values) -> float:
        return float(side(costs(values), shares(values, domains)) - limit)

    corner = tuple(float(v) for v in reference)
    return Problem(
        spec, costs, volume_of(inside, corner), corner, noise, worse_by if constrained else None
    )  # fmt: skip


def drives(
    instance: int, domains: int, sampler: str, trials: int, seed: int, *, noise: float = 0.02, constrained: bool = False
) -> Problem:
    """Looks want the target, motion wants some of the other domains, with falling returns; one helps both a little.

    Args:
        instance: Draws the coefficients; those below 100 were tuned on, the others are held out.
    """
    rng = np.random.default_rng([7, instance, domains])
    pull = rng.uniform(0.2, 1.0, domains)
    use = rng.uniform(0.5, 8.0, domains) * (rng.random(domains) < 0.7)
    use[rng.integers(domains)] += 5.0
    curve, cross = rng.uniform(0.7, 2.0), rng.normal(0.0, 0.6, (domains, domains))
    helps = rng.integers(domains)

    def figures(q: np.ndarray) -> np.ndarray:
        replay = q[:, 1:]
        looks = (replay @ pull) ** curve - 0.15 * np.sqrt(replay[:, helps])
        motion = np.exp(-(replay @ use)) + 0.3 * np.einsum("ni,ij,nj->n", replay, cross, replay)
        return np.column_stack([looks, motion])

    base = np.array([0.5, 0.25])
    return _typical(figures, base, domains, sampler, trials, seed, noise, constrained)


def curved(kind: str, instance: int, sampler: str, trials: int, seed: int) -> Problem:
    """`drives` with 4 domains and what a trial shows early on.

    Args:
        kind: `parallel` (early figures are the late ones, moved), `noisy` (and blurred), `crossing` (early figures have
            nothing to do with the late ones), `forgetting` (the damage to motion grows with the steps, most where
            motion is best early on).
    """
    problem = drives(instance, 4, sampler, trials, seed, noise=0.0)
    problem = replace(problem, spec=with_values(problem.spec, {"search.anchors": []}))

    def cheap(values: Values) -> np.ndarray:
        late = problem.costs(values)
        text = np.frombuffer(hashlib.sha256(repr(late.tolist()).encode()).digest()[:8], np.uint32)
        draws = np.random.default_rng(text).normal(0.0, 1.0, 2)
        if kind == "parallel":
            return np.asarray(0.5 + 0.5 * late)
        if kind == "noisy":
            return np.asarray(0.5 + 0.5 * late + 0.05 * draws)
        if kind == "crossing":
            return np.asarray(0.5 + 0.2 * draws)
        return np.array([0.5 + 0.5 * late[0], 0.5 - 0.3 * late[1] + 0.02 * draws[1]])

    return replace(problem, cheap=cheap)


@cache
def _table(name: str) -> tuple[tuple[str, ...], np.ndarray]:
    lines = (TABLES / name).read_text().split("\n", 1)[0].split(",")[1:]
    return tuple(lines), np.genfromtxt(TABLES / name, delimiter=",", skip_header=1)[:, 1:]


def _column(header: tuple[str, ...], key: str) -> int:
    return next(i for i, name in enumerate(header) if key in name)


@cache
def _law(loss: str, domains: tuple[str, ...]) -> Callable[[np.ndarray], np.ndarray]:
    """A mixing law c + exp(t·q) over some of the domains, fitted to the 512 mixes at 1 M."""
    names, mixes = _table("train_mixture_1m.csv")
    header, losses = _table("train_pile_loss_1m.csv")
    y = losses[:, _column(header, loss)]
    own = mixes[:, [_column(names, d) for d in domains]]
    q = np.column_stack([own, 1.0 - own.sum(axis=1)])
    start = np.array([y.min() * 0.9, *np.full(q.shape[1], np.log(np.ptp(y)))])
    theta = least_squares(lambda t: t[0] + np.exp(np.clip(q @ t[1:], -20, 20)) - y, start).x
    return lambda shares: theta[0] + np.exp(np.clip(shares @ theta[1:-1], -20, 20))


def mixing_law(
    pair: tuple[str, str], domains: int, sampler: str, trials: int, seed: int, *, noise: float = 0.02,
    constrained: bool = False,
) -> Problem:  # fmt: skip
    """ρ and a mix of 2 to 7 domains under laws fitted to the RegMix tables; the first loss is the target's."""
    names = (pair[0], pair[1], "pubmed_central", "freelaw", "philpapers", "europarl", "dm_mathematics", "enron")
    laws = [_law(loss, names[: domains + 1]) for loss in pair]

    def figures(q: np.ndarray) -> np.ndarray:
        return np.column_stack([law(q) for law in laws])

    ends = figures(np.vstack([np.eye(domains + 1)[0], np.full(domains + 1, 1 / (domains + 1))]))
    base = np.array([ends[:, 0].max(), ends[:, 1].mean()])
    return _typical(figures, base, domains, sampler, trials, seed, noise, constrained)


def regmix(sampler: str, trials: int, seed: int, table: str = "test", pair: tuple[str, str] = TUNED_PAIR) -> Problem:
    """The 256 mixtures of 17 domains at 60 M (cheap: 1 M) parameters, or the 512 at 1 M.

    A mix stands for its nearest row (Euclidean); the objectives are two of the losses.
    """
    size = "60m" if table == "test" else "1m"
    _, mixes = _table(f"{table}_mixture_{size}.csv")
    header, losses = _table(f"{table}_pile_loss_{size}.csv")
    columns = [_column(header, key) for key in pair]

    def scaled(values: np.ndarray) -> np.ndarray:
        found = values[:, columns]
        return np.asarray((found - found.min(axis=0)) / np.ptp(found, axis=0))

    costs = scaled(losses)
    cheap = scaled(_table("test_pile_loss_1m.csv")[1]) if table == "test" else None
    mixes = mixes / mixes.sum(axis=1, keepdims=True)

    def row(values: Values) -> int:
        return int(np.argmin(((mixes - np.asarray(values["replay.weights"])) ** 2).sum(axis=1)))

    spec = experiment({"replay.weights": "simplex"}, mixes.shape[1], sampler, trials, seed)
    return Problem(
        spec,
        lambda v: costs[row(v)],
        volume_of(costs),
        cheap=None if cheap is None else (lambda v: cheap[row(v)]),
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
        return np.asarray((problem.evaluate(np.array([values[key] for key in keys])) - low) / span)

    return Problem(spec, costs, volume_of((front - low) / span))
