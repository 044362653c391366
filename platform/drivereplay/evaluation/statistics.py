"""Intervals and comparisons over clips; every random draw is seeded, so that a figure is the same each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.report import Estimate

LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """A against B over the same clips and seeds.

    Attributes:
        difference: A − B, with its paired 95 % interval.
        p: Two-sided p-value of "no difference".
        effect: Paired Cohen's d: mean difference over the standard deviation of differences; NaN for set metrics.
    """

    difference: Estimate
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


def set_interval(
    distance: Callable[[NDArray[np.int64]], float], n: int, *, resamples: int = 200, seed: int = 0
) -> Estimate:
    """A set metric with its bootstrap interval.

    A Fréchet distance of resampled sets is biased upwards (repeated clips shrink the covariance's rank), so the
    resampled distances give the spread only: the interval is the point figure plus their deviations from their mean.

    Args:
        distance: The figure of the clips at the given positions (real and generated alike, so that pairs stay pairs).
        n: Number of clips.
    """
    everything = np.arange(n)
    point = distance(everything)
    if n < 2:
        return Estimate(point, float("nan"), float("nan"), n)
    random = np.random.default_rng(seed)
    drawn = np.array([distance(random.integers(0, n, n)) for _ in range(resamples)])
    low, high = np.quantile(drawn - drawn.mean(), _tails(n))
    return Estimate(point, point + float(low), point + float(high), n)


def compare_means(a: NDArray[np.float64], b: NDArray[np.float64], *, resamples: int = 1000, seed: int = 0) -> Comparison:
    """Paired comparison of two models' clip figures (N,), same clips in the same order.

    The p-value is that of the sign-flip permutation test of the paired differences, exact under a symmetric null.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    differences = differences[~np.isnan(differences)]
    estimate = mean_interval(differences, resamples=resamples, seed=seed)
    n = len(differences)
    if n < 2:
        return Comparison(estimate, float("nan"), float("nan"))
    spread = float(differences.std(ddof=1))
    if not differences.any():
        return Comparison(estimate, 1.0, 0.0)
    random = np.random.default_rng(seed + 1)
    observed = abs(differences.sum()) * (1 - 1e-12)
    at_least, total = 0, 0
    for rows in _blocks(max(resamples, 2000), n):
        flips = random.integers(0, 2, (rows, n), dtype=np.int8) * 2 - 1
        at_least += int((np.abs(flips @ differences) >= observed).sum())
        total += rows
    effect = estimate.mean / spread if spread > 0 else float(np.sign(estimate.mean) * np.inf)
    return Comparison(estimate, (at_least + 1) / (total + 1), effect)


def _tails(n: int) -> tuple[float, float]:
    from scipy import stats

    tail = (1 - LEVEL) / 2
    expanded = float(stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(tail, n - 1)))
    return expanded, 1 - expanded


def _blocks(resamples: int, n: int) -> list[int]:
    """Resamples in blocks of bounded memory."""
    most = max(1, 4_000_000 // max(1, n))
    return [min(most, resamples - start) for start in range(0, resamples, most)]
