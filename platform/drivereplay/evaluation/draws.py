"""Paired draws: recordings, then clips, are drawn once for all checkpoints, with seeds as a random effect on top.

All checkpoints of a protocol are evaluated on the same clips, so that what one clip adds to a figure is common to them:
their figures of one clip correlate at .96 and more. Whoever asks which of two is better, or who is on the front, has to
draw the clips once for all of them; independent draws call a clear winner a coin toss.

Every statement about more than one checkpoint (P(non-dominated), attainment, racing, comparison, the hypervolume's
interval, differences to naive and base) is made from `paired_draws`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import ProtocolError

Floats = NDArray[np.float64]
LEVEL = 0.95
RESAMPLES = 1000
BORROWED = 4
"""Least degrees of freedom of the spread over seeds that a setting with one seed borrows from others.

With a single replicate in the whole sweep Student's t would make every figure unknown."""
_BLOCK = 1_000_000
"""Weights that are worth keeping for the next figure of the same clips."""


@dataclass(frozen=True, eq=False)
class ClipFigures:
    """One metric of one checkpoint, clip by clip.

    Attributes:
        point: The reported figure.
        values: (N,) what each clip says: its own figure for a metric of clips, its jackknife pseudo-value for a metric
            of sets; NaN where the metric does not apply. Only deviations from their mean are used.
        units: N pairs (recording, clip); the same for all checkpoints of a protocol.
    """

    point: float
    values: Floats
    units: tuple[tuple[str, str], ...]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ClipFigures)
            and (self.point == other.point or (self.point != self.point and other.point != other.point))
            and np.array_equal(self.values, other.values, equal_nan=True)
            and self.units == other.units
        )

    __hash__ = None  # type: ignore[assignment]  # it holds an array

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; figures that are not finite become null."""
        values = [float(value) if math.isfinite(value) else None for value in self.values]
        return {"point": self.point if math.isfinite(self.point) else None, "values": values, "units": self.units}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClipFigures:
        """The inverse of `to_json`."""
        numbers = np.array([math.nan if value is None else value for value in data["values"]], dtype=np.float64)
        point = math.nan if data["point"] is None else float(data["point"])
        return cls(point, numbers, _interned(tuple((str(group), str(clip)) for group, clip in data["units"])))


@dataclass(frozen=True)
class Row:
    """One evaluated checkpoint: a row of the table of per-clip figures.

    Attributes:
        setting: Rows of one setting differ in their seed only.
        figures: Metric (`agents.ade`, `agents.ade@rare`) → its figures.
        seeded: Whether a seed had any part in it; False for a base that was not trained.
        run: Rows of one training run and of its replicates; several steps of a run are no further evidence of how
            much seeds matter. Default is `setting`.
    """

    setting: str
    figures: Mapping[str, ClipFigures]
    seeded: bool = True
    run: str = ""


@dataclass(frozen=True)
class Draws:
    """What could as well have been found with other recordings, clips and seeds.

    Attributes:
        settings: n names, in the order of the rows.
        points: (n, m) figures, mean over the seeds of a setting.
        values: (B, n, m) draws of them; draw b holds the same recordings and clips for all n.
    """

    settings: tuple[str, ...]
    points: Floats
    values: Floats

    def interval(self, level: float = LEVEL) -> tuple[Floats, Floats]:
        """Ends of the interval of each figure, (n, m) each; NaN where nothing is known of its spread."""
        return _ends(self.values, self.points, level)

    def difference(self, one: int, other: int, level: float = LEVEL) -> tuple[Floats, Floats, Floats]:
        """Setting `one` less setting `other`, paired: figures and the ends of their intervals, (m,) each."""
        points = self.points[one] - self.points[other]
        low, high = _ends(self.values[:, one] - self.values[:, other], points, level)
        return points, low, high


def paired_draws(rows: Sequence[Row], names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draw recordings, then clips within them, once for all rows, and seeds independently for each setting.

    Clips: a Bayesian bootstrap (Rubin, Annals of Statistics 9(1), 1981). Recordings get exponential weights, their
    clips exponential weights that add up to the recording's number of clips. Weights belong to a recording's and a
    clip's *name*, so that two sets with clips in common move together. The deviations from the figure are scaled, by
    one factor for all settings, so that their mean square is the cluster-robust squared standard error and their tails
    are those of Student's t with (recordings − 1) degrees of freedom; with a single recording, with (clips − 1).

    Seeds: a setting with k seeds adds a multivariate t with the covariance of seeds over k. The covariance is pooled
    over all settings that have several; a setting with one seed adds the pooled covariance itself, with tails no
    heavier than those of `BORROWED` degrees of freedom, and nothing where no setting has several.

    Args:
        rows: Finite in all `names`, and with the same clips for each name.
        names: m metrics.
        resamples: B.
        seed: Seed of the draws.

    Raises:
        ProtocolError: Rows hold different clips for one name.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.setting, []).append(row)
    members = list(groups.values())
    points = np.array([[np.mean([r.figures[n].point for r in group]) for n in names] for group in members])
    points = points.reshape(len(members), len(names))
    values = np.repeat(points[None], resamples, axis=0)
    if not members:
        return Draws((), points, values)
    for name in names:
        _check_units([row.figures[name] for row in rows], name)
    stacked = [_stack(members, name) for name in names]
    clips_of = [members[0][0].figures[name].units for name in names]
    units = tuple(sorted({unit for clips in clips_of for unit in clips}))
    at = {unit: n for n, unit in enumerate(units)}
    drawn = weights(units, resamples, seed)
    moved = np.zeros_like(values)
    for j, clips in enumerate(clips_of):
        moved[:, :, j] = _moved(drawn[:, [at[unit] for unit in clips]], stacked[j])
        moved[:, :, j] *= _scale(moved[:, :, j], stacked[j], np.array([recording for recording, _ in clips]))
    return Draws(tuple(groups), points, values + moved + _seed_effects(members, names, resamples, seed))


@lru_cache(maxsize=64)
def _interned(units: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """One object for the same clips, however many candidates hold them: their names are most of a table."""
    return units


def _check_units(figures: Sequence[ClipFigures], name: str) -> None:
    first = figures[0].units
    if any(one.units is not first and one.units != first for one in figures[1:]):
        raise ProtocolError(
            f"{name}: the candidates' figures are of different clips or recordings.", "Evaluate them again."
        )


def _stack(members: Sequence[Sequence[Row]], name: str) -> Floats:
    """(n, N) figures of each setting and clip, mean over its seeds."""
    return np.array([mean_known(np.array([row.figures[name].values for row in group]), 0) for group in members])


def deviations(values: Floats, groups: NDArray[np.str_], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """(resamples,) draws of the mean of (N,) figures of one checkpoint, less that mean; none may be NaN."""
    units = tuple(zip(groups.tolist(), np.arange(len(groups)).astype(str).tolist(), strict=True))
    moved = _moved(weights(units, resamples, seed), values[None])
    return np.asarray(moved[:, 0] * _scale(moved, values[None], groups))


def weights(units: tuple[tuple[str, str], ...], resamples: int, seed: int) -> Floats:
    """(resamples, N) weights of clips, by recording and clip: what a draw of recordings, then clips, is made of."""
    if resamples * len(units) > _BLOCK:
        return _weights(units, resamples, seed)
    return _few_weights(units, resamples, seed)


def _weights(units: Sequence[tuple[str, str]], resamples: int, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    recording = np.unique([unit[0] for unit in units], return_inverse=True)[1]
    sizes = np.bincount(recording)
    outer = generator.standard_exponential((resamples, len(sizes)))[:, recording]
    if len(sizes) == len(units):
        return np.asarray(outer)
    inner = generator.standard_exponential((resamples, len(units)))
    order = np.argsort(recording, kind="stable")
    totals = np.add.reduceat(inner[:, order], np.r_[0, np.cumsum(sizes)[:-1]], axis=1)
    return np.asarray(outer * inner * sizes[recording] / totals[:, recording])


# a report draws the same clips for each metric, reference row and second ahead
_few_weights = lru_cache(maxsize=8)(_weights)


def _moved(weights: Floats, clips: Floats) -> Floats:
    """(b, n) weighted means less the plain ones."""
    known = ~np.isnan(clips)
    filled = np.where(known, clips, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ filled.T) / (weights @ known.T.astype(np.float64))
        moved = means - filled.sum(1) / known.sum(1)
    return np.nan_to_num(moved, nan=0.0)


def _scale(moved: Floats, clips: Floats, recordings: NDArray[np.str_]) -> float:
    """What brings the draws' mean square to the squared standard error, times Student's factor."""
    from scipy.special import ndtri, stdtrit

    errors, degrees = standard_errors(clips, recordings)
    most = int(degrees.max())
    spread = float((moved**2).mean(0).sum())
    if most < 1 or spread <= 0:
        return 0.0
    tail = (1 - LEVEL) / 2
    widened = float(stdtrit(most, tail) / ndtri(tail))
    return widened * float(np.sqrt(np.nansum(errors**2) / spread))


def standard_errors(clips: Floats, recordings: NDArray[np.str_] | Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
    """Cluster-robust standard errors (n,) of the means of (n, N) figures, and their degrees of freedom (n,).

    With G recordings of more than one: √(G/(G−1) · Σ_g (Σ_{i∈g} (x_i − x̄))²)/N and G − 1; the clips of a single
    recording count as independent. NaN and 0 where there are fewer than two clips.
    """
    known = ~np.isnan(clips)
    counts = known.sum(1)
    residuals = np.where(known, clips - mean_known(clips, 1)[:, None], 0.0)
    which = np.unique(np.asarray(recordings), return_inverse=True)[1]
    member = np.zeros((clips.shape[1], int(which.max()) + 1))
    member[np.arange(len(which)), which] = 1.0
    clusters = (known @ member > 0).sum(1)
    together = ((residuals @ member) ** 2).sum(1)
    alone = clusters < 2
    clusters = np.where(alone, counts, clusters)
    squares = np.where(alone, (residuals**2).sum(1), together)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(clusters / (clusters - 1) * squares) / counts
    return np.where(counts < 2, np.nan, errors), np.where(counts < 2, 0, clusters - 1)


def _seed_effects(members: Sequence[Sequence[Row]], names: Sequence[str], resamples: int, seed: int) -> Floats:
    """(B, n, m) of what other seeds would have added."""
    generator = np.random.default_rng([seed, 1])
    effects = np.zeros((resamples, len(members), len(names)))
    covariance, degrees = seed_covariance(members, names)
    if degrees < 1:
        return effects
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    for i, group in enumerate(members):
        if group[0].seeded:
            normal = generator.standard_normal((resamples, len(names))) @ root.T
            freedom = degrees if len(group) > 1 else max(degrees, BORROWED)
            chi = np.sqrt(generator.chisquare(freedom, (resamples, 1)) / freedom)
            effects[:, i] = normal / chi / np.sqrt(len(group))
    return effects


def seed_covariance(members: Sequence[Sequence[Row]], names: Sequence[str]) -> tuple[Floats, int]:
    """(m, m) covariance of the figures over seeds, pooled over settings, and its degrees of freedom; 0 for none."""
    total, weight = np.zeros((len(names), len(names))), 0
    degrees: dict[str, int] = {}
    for group in members:
        if len(group) < 2 or not group[0].seeded:
            continue
        points = np.array([[row.figures[name].point for name in names] for row in group])
        centred = points - points.mean(0)
        total += centred.T @ centred
        weight += len(group) - 1
        run = group[0].run or group[0].setting
        degrees[run] = max(degrees.get(run, 0), len(group) - 1)
    return (total / weight if weight else total), sum(degrees.values())


def _ends(values: Floats, points: Floats, level: float) -> tuple[Floats, Floats]:
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    unknown = np.ptp(values, axis=0) == 0
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def mean_known(values: Floats, axis: int) -> Floats:
    """Mean over what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))
