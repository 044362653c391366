"""Intervals and comparisons over recordings and clips; every draw is seeded, so that a figure is the same each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.draws import deviations, standard_errors, weights

Groups = Sequence[str] | NDArray[np.str_] | None
"""Recording of each clip; None where each clip is a recording of its own."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        mean: The figure; for set metrics the distance itself.
        low, high: Ends of the 95 % interval over recordings; NaN where there is none.
        n: Clips it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.mean:.4g}"
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


def mean_interval(
    values: NDArray[np.float64],
    groups: Groups = None,
    *,
    bounds: tuple[float, float] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Mean over clips with its interval over recordings; NaN clips (the metric does not apply) are left out of n.

    The interval is that of `draws.paired_draws` for one checkpoint. Where a figure jumps to a penalty now and then, the
    clips at hand may hold none of the jumps. Then `bounds` are given, and the interval is Gaffke's, whose coverage does
    not rest on what was seen (Learned-Miller & Thomas, arXiv 1905.06208): each end counts one recording more, which is
    at that bound.

    Args:
        values: (N,) figures.
        groups: Recording of each.
        bounds: Least and most that a clip's figure can be.
    """
    figures = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(figures)
    names = np.arange(len(figures)).astype(str) if groups is None else np.asarray(groups)
    figures, names = figures[known], names[known]
    n = len(figures)
    if n == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(figures.mean())
    if n == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    if bounds is not None:
        return Estimate(mean, *_bounded(figures, names, bounds, resamples, seed), n)
    low, high = np.quantile(deviations(figures, names, resamples, seed), _TAILS)
    return Estimate(mean, mean + float(low), mean + float(high), n)


def _bounded(
    figures: NDArray[np.float64], groups: NDArray[np.str_], bounds: tuple[float, float], resamples: int, seed: int
) -> tuple[float, float]:
    """Ends of Gaffke's interval; a recording's clips count together."""
    drawn = weights(
        tuple(zip(groups.tolist(), np.arange(len(groups)).astype(str).tolist(), strict=True)), resamples, seed
    )
    more = np.random.default_rng(seed + 1).standard_exponential(resamples) * len(groups) / len(np.unique(groups))
    sums, total = drawn @ figures, drawn.sum(1) + more
    low = np.quantile((sums + more * min(bounds[0], figures.min())) / total, _TAILS[0])
    high = np.quantile((sums + more * max(bounds[1], figures.max())) / total, _TAILS[1])
    return float(low), float(high)


def blocks_of(groups: Sequence[str], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """At most `most` blocks of clips to leave out, and how much a block's deviation stands for.

    Single clips where there are few enough; else whole recordings, several together where there are too many. A block
    of m units (recordings, or clips of a single recording) deviates as the mean of m does, so that each of them is
    given √m times that deviation.

    Returns:
        (N,) number of each clip's block, and (N,) factors.
    """
    n = len(groups)
    if n <= most:
        return np.arange(n), np.ones(n)
    units = np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(units.max()) + 1
    if count == 1:
        units, count = np.arange(n), n
    if count <= most:
        return units, np.ones(n)
    block_of_unit = np.arange(count) * most // count
    return block_of_unit[units], np.sqrt(np.bincount(block_of_unit))[block_of_unit[units]]


def jackknife(
    without: Callable[[NDArray[np.bool_]], float], point: float, groups: Sequence[str], most: int
) -> NDArray[np.float64]:
    """(N,) pseudo-values of a figure of sets: what each clip says of it.

    With h = n/m for a block of m of the n clips the pseudo-value of its clips is h·θ − (h − 1)·θ₋, θ₋ the figure
    without the block (Busing, Meijer & van der Leeden, Statistics and Computing 9, 1999). Their mean is the figure
    without its bias of order 1/n; their spread over recordings is its uncertainty.

    Args:
        without: The figure of all clips but those that the mask (N,) marks.
        point: The figure of all clips.
        groups: Recording of each clip.
        most: Number of blocks at most, each of which costs one figure.
    """
    block, factor = blocks_of(groups, most)
    sizes = np.bincount(block)
    n = len(block)
    values = np.empty(len(sizes))
    for number, size in enumerate(sizes):
        if n - size < 2:
            return np.full(n, np.nan)
        share = n / size
        values[number] = share * point - (share - 1) * without(block == number)
    mean = float((values * sizes).sum() / n)
    return mean + factor * (values[block] - mean)


def set_interval(
    point: float, pseudo_values: NDArray[np.float64], groups: Groups = None, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """A figure of sets over all n clips with its interval over recordings."""
    spread = mean_interval(pseudo_values, groups, resamples=resamples, seed=seed)
    moved = point - spread.mean
    return Estimate(point, spread.low + moved, spread.high + moved, len(pseudo_values))


def compare_sets(
    a: float,
    b: float,
    pseudo_a: NDArray[np.float64],
    pseudo_b: NDArray[np.float64],
    groups: Groups = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Paired comparison of two models' figures of sets over the same clips.

    The p-value is Student's, of the paired pseudo-values.
    """
    from scipy import stats

    differences = pseudo_a - pseudo_b
    estimate = set_interval(a - b, differences, groups, resamples=resamples, seed=seed)
    names = np.arange(len(differences)).astype(str) if groups is None else groups
    errors, degrees = standard_errors(differences[None], names)
    if degrees[0] < 1 or not errors[0] > 0:
        return Difference(estimate, 1.0 if a == b else float("nan"), float("nan"))
    return Difference(estimate, float(2 * stats.t.sf(abs(a - b) / errors[0], degrees[0])), float("nan"))


def compare_means(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    groups: Groups = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Difference:
    """Paired comparison of two models' clip figures (N,), same clips in the same order.

    The p-value is that of the permutation test that flips the sign of a recording's differences, exact under a
    symmetric null.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    known = ~np.isnan(differences)
    names = np.arange(len(differences)).astype(str) if groups is None else np.asarray(groups)
    differences, names = differences[known], names[known]
    estimate = mean_interval(differences, names, resamples=resamples, seed=seed)
    if len(differences) < 2:
        return Difference(estimate, float("nan"), float("nan"))
    spread = float(differences.std(ddof=1))
    if not differences.any():
        return Difference(estimate, 1.0, 0.0)
    which = np.unique(names, return_inverse=True)[1]
    sums = np.asarray(np.bincount(which, differences) if which.any() else differences, dtype=np.float64)
    n = len(sums)
    random = np.random.default_rng(seed + 1)
    observed = abs(sums.sum()) * (1 - 1e-12)
    at_least, total = 0, 0
    for rows in _blocks(max(resamples, 2000), n):
        flips = random.integers(0, 2, (rows, n), dtype=np.int8) * 2 - 1
        at_least += int((np.abs(flips @ sums) >= observed).sum())
        total += rows
    effect = estimate.mean / spread if spread > 0 else float(np.sign(estimate.mean) * np.inf)
    return Difference(estimate, (at_least + 1) / (total + 1), effect)


_TAILS = (0.025, 0.975)


def _blocks(resamples: int, n: int) -> list[int]:
    """Resamples in blocks of bounded memory."""
    most = max(1, 4_000_000 // max(1, n))
    return [min(most, resamples - start) for start in range(0, resamples, most)]
