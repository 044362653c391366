"""Intervals and comparisons over clips; every random draw is seeded, so that a figure is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        mean: The figure; for set metrics the distance itself.
        low, high: Ends of the bootstrap interval over clips; NaN where there are fewer than two clips.
        n: Clips it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Difference:
    """A against B over the same clips and seeds.

    Attributes:
        estimate: A − B, with its paired 95 % interval.
        p: Two-sided p-value of "no difference".
        effect: Paired Cohen's d: mean difference over the standard deviation of differences; NaN for set metrics.
    """

    estimate: Estimate
    p: float
    effect: float


def mean_interval(values: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean over clips with its bootstrap interval; NaN clips (the metric does not apply) are left out of n.

    The percentile interval is expanded for small n as in Hesterberg, "What teachers should know about the bootstrap"
    (The American Statistician 69(4), 2015): the tail is widened to Φ(−√(n/(n−1))·t), t the quantile of Student's t.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    n = len(known)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(known.mean())
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    random = np.random.default_rng(seed)
    means = np.concatenate([known[random.integers(0, n, (rows, n))].mean(1) for rows in _blocks(resamples, n)])
    low, high = np.quantile(means, _tails(n))
    return Estimate(mean, float(low), float(high), n)


def resample(
    distance: Callable[[NDArray[np.int64]], float], n: int, *, resamples: int = 200, seed: int = 0
) -> NDArray[np.float64]:
    """A set metric's figures over bootstrap draws of n clips; the draws depend on n, `resamples` and `seed` alone.

    Args:
        distance: The figure of the clips at the given positions (real and generated alike, so that pairs stay pairs).
    """
    random = np.random.default_rng(seed)
    return np.array([distance(random.integers(0, n, n)) for _ in range(resamples)])


def set_interval(point: float, drawn: NDArray[np.float64], n: int) -> Estimate:
    """A set metric's figure over all n clips with its bootstrap interval.

    A Fréchet distance of resampled sets is biased upwards (repeated clips shrink the covariance's rank), so the
    resampled figures give the spread only: the interval is the point figure plus their deviations from their mean.
    """
    if n < 2 or len(drawn) == 0:
        return Estimate(point, float("nan"), float("nan"), n)
    low, high = np.quantile(drawn - drawn.mean(), _tails(n))
    return Estimate(point, point + float(low), point + float(high), n)


def compare_sets(a: float, b: float, drawn_a: NDArray[np.float64], drawn_b: NDArray[np.float64], n: int) -> Difference:
    """Paired comparison of two models' set figures from bootstrap draws over the same clips.

    The p-value is that of a normal with the standard deviation of the paired draws.
    """
    from scipy import stats

    drawn = drawn_a - drawn_b
    estimate = set_interval(a - b, drawn, n)
    spread = float(drawn.std(ddof=1)) if len(drawn) > 1 else 0.0
    if spread == 0:
        return Difference(estimate, 1.0 if a == b else float("nan"), float("nan"))
    return Difference(estimate, float(2 * stats.norm.sf(abs(a - b) / spread)), float("nan"))


def compare_means(
    a: NDArray[np.float64], b: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0
) -> Difference:
    """Paired comparison of two models' clip figures (N,), same clips in the same order.

    The p-value is that of the sign-flip permutation test of the paired differences, exact under a symmetric null.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    estimate = mean_interval(differences, resamples=resamples, seed=seed)
    n = len(differences)
    if n < 2:
        return Difference(estimate, float("nan"), float("nan"))
    spread = float(differences.std(ddof=1))
    if not differences.any():
        return Difference(estimate, 1.0, 0.0)
    random = np.random.default_rng(seed + 1)
    observed = abs(differences.sum()) * (1 - 1e-12)
    at_least, total = 0, 0
    for rows in _blocks(max(resamples, 2000), n):
        flips = random.integers(0, 2, (rows, n), dtype=np.int8) * 2 - 1
        at_least += int((np.abs(flips @ differences) >= observed).sum())
        total += rows
    effect = estimate.mean / spread if spread > 0 else float(np.sign(estimate.mean) * np.inf)
    return Difference(estimate, (at_least + 1) / (total + 1), effect)


def _tails(n: int) -> tuple[float, float]:
    from scipy import stats

    tail = (1 - LEVEL) / 2
    expanded = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1)))
    return expanded, 1 - expanded


def _blocks(resamples: int, n: int) -> list[int]:
    """Resamples in blocks of bounded memory."""
    most = max(1, 4_000_000 // max(1, n))
    return [min(most, resamples - start) for start in range(0, resamples, most)]
