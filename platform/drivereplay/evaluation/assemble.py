"""From scores of batches to a report: means, intervals, reference rows, tables and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import references
from drivereplay.evaluation.floor import note_floor
from drivereplay.evaluation.metric import ClipMetric, SetMetric, metric
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.scoring import Scores
from drivereplay.evaluation.statistics import Estimate, jackknife, mean_interval, set_interval


@dataclass
class Collected:
    """Scores of all clips so far, without their frames.

    Attributes:
        units: (recording, clip name) of each clip.
        subsets: Subset of each clip, "" where unknown.
        fps: Frames per second of the clips.
        samples: For each of k samples, the batches' scores.
        rows: Reference row → the batches' scores.
        pseudo: For each clip, whether its objects were found in the real video because nobody annotated them.
    """

    units: list[tuple[str, str]] = field(default_factory=list)
    subsets: list[str] = field(default_factory=list)
    fps: float = 1.0
    samples: list[list[Scores]] = field(default_factory=list)
    rows: dict[str, list[Scores]] = field(default_factory=dict)
    pseudo: list[bool] = field(default_factory=list)

    def part(self, chosen: Sequence[int]) -> Collected:
        """Of the clips at these positions only."""

        def of(batches: Sequence[Scores]) -> list[Scores]:
            curves = {name: self.curves(name, batches)[chosen] for name in batches[0].curves}
            features = {
                name: np.concatenate([s.features[name] for s in batches])[chosen] for name in batches[0].features
            }
            return [Scores(curves, features)]

        return Collected(
            units=[self.units[n] for n in chosen],
            subsets=[self.subsets[n] for n in chosen],
            fps=self.fps,
            samples=[of(batches) for batches in self.samples],
            rows={row: of(batches) for row, batches in self.rows.items()},
            pseudo=[self.pseudo[n] for n in chosen],
        )

    @property
    def names(self) -> list[str]:
        """Clip names."""
        return [clip for _, clip in self.units]

    @property
    def groups(self) -> list[str]:
        """Recording of each clip."""
        return [recording for recording, _ in self.units]

    def curves(self, name: str, scores: Sequence[Scores]) -> NDArray[np.float64]:
        """(N, F) of a clip metric."""
        return np.concatenate([s.curves[name] for s in scores])

    def features(self, name: str, scores: Sequence[Scores]) -> NDArray[np.float64]:
        """(N, m, D) of a set metric."""
        return np.concatenate([s.features[name] for s in scores]).astype(np.float64)


def assemble(collected: Collected, names: Sequence[str], protocol: Protocol, *, resamples: int, seed: int) -> Report:
    """The report of everything that was collected.

    Args:
        resamples: Bootstrap resamples of the intervals.
        seed: Seed of those; what each clip says is in the report, so that two reports are compared whatever it was.
    """
    report = Report(protocol=protocol, metrics={}, clips=collected.names, groups=collected.groups)
    report.tables = {"horizon": {}, "best": {}, "split": {}, "unbiased": {}}
    for name in names:
        judge = metric(name)
        report.directions[name], report.units[name] = judge.direction, judge.unit
        if isinstance(judge, ClipMetric):
            _clip_metric(report, judge, collected, _Intervals(collected.groups, resamples, seed, judge.bounds))
        elif isinstance(judge, SetMetric):
            _set_metric(report, judge, collected)
        if name in report.metrics:
            _warn_if_few(report, judge.name, judge.least_clips)
        elif isinstance(judge, ClipMetric):
            needs = " and ".join(sorted(judge.needs))
            why = f"it needs {needs} that none" if needs else "there is nothing it could judge in any"
            count = len(collected.names)
            report.warnings.append(f"{name} is left out: {why} of the {count} clips{' has' if needs else ''}.")
    if any(collected.pseudo):
        _say_pseudo(report, sum(collected.pseudo))
    for table in (report.directions, report.units):
        for name in table.keys() - report.metrics.keys():
            del table[name]
    return report


@dataclass(frozen=True)
class _Intervals:
    """Means with their intervals over recordings."""

    groups: Sequence[str]
    resamples: int
    seed: int
    bounds: tuple[float, float] | None = None

    def __call__(self, values: NDArray[np.float64], inside: NDArray[np.bool_] | None = None) -> Estimate:
        """Of (N,) figures; `inside` says which of the clips they are, where not all."""
        groups = self.groups if inside is None else [g for g, one in zip(self.groups, inside, strict=True) if one]
        return mean_interval(values, groups, bounds=self.bounds, resamples=self.resamples, seed=self.seed)


def _say_pseudo(report: Report, clips: int) -> None:
    names = [name for name in report.metrics if "boxes" in metric(name).needs]
    truth = report.protocol.fields["pseudo"]["truth"]
    report.tables["pseudo"] = {"clips": clips, "truth": truth, "metrics": names}
    what = {"motion": "regions that move, followed in the real video", "detector": "detections in the real video"}
    report.warnings.append(
        f"Pseudo ground truth, not annotations, in {clips} of {len(report.clips)} clips ({what[truth]}): "
        f"{', '.join(names) or 'no metric has a figure from it'}."
        + (" Their row `real` is 0 by construction." if names else "")
    )


def _warn_if_few(report: Report, name: str, least: int) -> None:
    n = report.metrics[name].n
    if n < len(report.clips):
        report.warnings.append(f"{name} rests on {n} of {len(report.clips)} clips; it does not apply to the others.")
    if n < least:
        report.warnings.append(f"{name} rests on {n} clips; it takes {least} before it can be believed.")


def _clip_metric(report: Report, judge: ClipMetric, collected: Collected, interval: _Intervals) -> None:
    name = judge.name
    curves = np.stack([collected.curves(name, scores) for scores in collected.samples])
    figures = np.array([[judge.score(curve) for curve in sample] for sample in curves])
    clips = _mean_known(figures, 0)
    if np.isnan(clips).all():
        return
    report.per_clip[name] = clips
    report.metrics[name] = interval(clips)
    rows = {row: collected.curves(name, scores) for row, scores in collected.rows.items()}
    scores = {row: np.array([judge.score(curve) for curve in values]) for row, values in rows.items()}
    for row, values in scores.items():
        report.references.setdefault(row, {})[name] = interval(values)
    note_floor(report, judge, scores)
    if len(curves) > 1:
        best = np.fmin.reduce(figures) if judge.direction == "min" else np.fmax.reduce(figures)
        report.tables["best"][name] = asdict(interval(best))
    if judge.horizon:
        report.tables["horizon"][name] = _horizon(_mean_known(curves, 0), rows, collected.fps, interval)
    for subset in sorted(set(collected.subsets) - {""}):
        inside = np.array([s == subset for s in collected.subsets])
        report.tables["split"].setdefault(subset, {})[name] = asdict(interval(clips[inside], inside))


def _horizon(
    curves: NDArray[np.float64], rows: Mapping[str, NDArray[np.float64]], fps: float, interval: _Intervals
) -> dict[str, Any]:
    """Mean over clips of each future frame, with its interval, against seconds ahead."""
    bands = [interval(column) for column in curves.T]
    return {
        "seconds": [(n + 1) / fps for n in range(curves.shape[1])],
        "mean": [b.mean for b in bands],
        "low": [b.low for b in bands],
        "high": [b.high for b in bands],
        "references": {row: _mean_known(values, 0).tolist() for row, values in rows.items()},
    }


def _set_metric(report: Report, judge: SetMetric, collected: Collected) -> None:
    name = judge.name
    real = collected.features(name, collected.rows[references.REAL])
    if len(real) < 2:
        report.warnings.append(f"{name} is left out: a distance of sets needs two clips at least.")
        return
    groups = collected.groups

    def figures(videos: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        def without(block: NDArray[np.bool_]) -> float:
            return judge.distance(_flat(real[~block]), _flat(videos[~block]))

        point = judge.distance(_flat(real), _flat(videos))
        return point, jackknife(without, point, groups, judge.blocks)

    def estimate(point: float, pseudo: NDArray[np.float64]) -> Estimate:
        """Without an interval where few clips push the figure itself up."""
        if judge.biased:
            return Estimate(point, float("nan"), float("nan"), len(real))
        return set_interval(point, pseudo, groups)

    points, pseudo = zip(*(figures(collected.features(name, scores)) for scores in collected.samples), strict=True)
    report.pseudo_values[name] = np.mean(pseudo, axis=0)
    point, pseudo_values = float(np.mean(points)), report.pseudo_values[name]
    report.metrics[name] = estimate(point, pseudo_values)
    if judge.biased:
        report.tables["unbiased"][name] = asdict(_unbiased(pseudo_values, groups, real.shape))
    for row, scores in collected.rows.items():
        # the real set against itself, pair by pair, is at the distance of zero by definition
        found = (0.0, np.zeros(len(real))) if row == references.REAL else figures(collected.features(name, scores))
        report.references.setdefault(row, {})[name] = estimate(*found)


def _unbiased(pseudo_values: NDArray[np.float64], groups: Sequence[str], shape: tuple[int, ...]) -> Estimate:
    """A Fréchet distance as it would be with endless clips; an interval only where the covariance has full rank.

    The mean of the pseudo-values is the jackknife's extrapolation: it takes the bias of order 1/n away. With D features
    and n ≤ D the covariance lacks rank and the bias is of another order (simulated in tests/evaluation).
    """
    found = mean_interval(pseudo_values, groups)
    clips, features = shape[0] * shape[1], shape[2]
    return found if clips > features else Estimate(found.mean, float("nan"), float("nan"), found.n)


def _flat(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features.reshape(-1, features.shape[-1])


def _mean_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean over what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))
