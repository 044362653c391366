"""From scores of batches to a report: means, intervals, reference rows, tables and warnings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import references
from drivereplay.evaluation.metric import ClipMetric, SetMetric, metric
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.scoring import Scores
from drivereplay.evaluation.statistics import Estimate, mean_interval, resample, set_interval


@dataclass
class Collected:
    """Scores of all clips so far, without their frames.

    Attributes:
        names: Clip names.
        subsets: Subset of each clip, "" where unknown.
        fps: Frames per second of the clips.
        samples: For each of k samples, the batches' scores.
        rows: Reference row → the batches' scores.
        pseudo: Clips whose objects nobody annotated and that were found in the real video.
    """

    names: list[str] = field(default_factory=list)
    subsets: list[str] = field(default_factory=list)
    fps: float = 1.0
    samples: list[list[Scores]] = field(default_factory=list)
    rows: dict[str, list[Scores]] = field(default_factory=dict)
    pseudo: int = 0

    def curves(self, name: str, scores: Sequence[Scores]) -> NDArray[np.float64]:
        """(N, F) of a clip metric."""
        return np.concatenate([s.curves[name] for s in scores])

    def features(self, name: str, scores: Sequence[Scores]) -> NDArray[np.float64]:
        """(N, m, D) of a set metric."""
        return np.concatenate([s.features[name] for s in scores]).astype(np.float64)


def assemble(
    collected: Collected, names: Sequence[str], protocol: Protocol, *, resamples: int, seed: int, draws: int = 0
) -> Report:
    """The report of everything that was collected.

    Args:
        resamples: Bootstrap resamples of the clip metrics' intervals.
        seed: Seed of those; each clip's figure is in the report, so that another one compares as well.
        draws: Seed of the set metrics' draws. Two reports are compared draw by draw, so it is the same for all reports
            of a protocol: a fixed number, or a field of the protocol.
    """
    report = Report(protocol=protocol, metrics={}, clips=list(collected.names))
    report.tables = {"horizon": {}, "best": {}, "subset": {}}
    for name in names:
        judge = metric(name)
        report.directions[name], report.units[name] = judge.direction, judge.unit
        if isinstance(judge, ClipMetric):
            _clip_metric(report, judge, collected, lambda v: mean_interval(v, resamples=resamples, seed=seed))
        elif isinstance(judge, SetMetric):
            _set_metric(report, judge, collected, seed=draws)
        if name in report.metrics:
            _warn_if_few(report, judge.name, judge.least_clips)
        elif isinstance(judge, ClipMetric):
            needs = " and ".join(sorted(judge.needs))
            why = f"it needs {needs} that none" if needs else "there is nothing it could judge in any"
            count = len(collected.names)
            report.warnings.append(f"{name} is left out: {why} of the {count} clips{' has' if needs else ''}.")
    if collected.pseudo:
        _say_pseudo(report, collected.pseudo)
    for table in (report.directions, report.units):
        for name in table.keys() - report.metrics.keys():
            del table[name]
    return report


def _say_pseudo(report: Report, clips: int) -> None:
    names = [name for name in report.metrics if "boxes" in metric(name).needs]
    truth = report.protocol.fields["pseudo"]["truth"]
    report.tables["pseudo"] = {"clips": clips, "truth": truth, "metrics": names}
    what = {"motion": "regions that move, followed in the real video", "detector": "detections in the real video"}
    report.warnings.append(
        f"Pseudo ground truth, not annotations, in {clips} of {len(report.clips)} clips ({what[truth]}): "
        f"{', '.join(names) or 'no metric has a figure from it'}."
        + (" The row `real` of these is the follower against itself." if truth == "motion" and names else "")
    )


def _warn_if_few(report: Report, name: str, least: int) -> None:
    n = report.metrics[name].n
    if n < len(report.clips):
        report.warnings.append(f"{name} rests on {n} of {len(report.clips)} clips; it does not apply to the others.")
    if n < least:
        report.warnings.append(f"{name} rests on {n} clips; it takes {least} before it can be believed.")


def _clip_metric(report: Report, judge: ClipMetric, collected: Collected, interval: Callable[..., Estimate]) -> None:
    name = judge.name
    curves = np.stack([collected.curves(name, scores) for scores in collected.samples])
    figures = np.array([[judge.score(curve) for curve in sample] for sample in curves])
    clips = _mean_known(figures, 0)
    if np.isnan(clips).all():
        return
    report.per_clip[name] = clips
    report.metrics[name] = interval(clips)
    rows = {row: collected.curves(name, scores) for row, scores in collected.rows.items()}
    for row, values in rows.items():
        report.references.setdefault(row, {})[name] = interval(np.array([judge.score(c) for c in values]))
    if len(curves) > 1:
        best = np.fmin.reduce(figures) if judge.direction == "min" else np.fmax.reduce(figures)
        report.tables["best"][name] = asdict(interval(best))
    if judge.horizon:
        report.tables["horizon"][name] = _horizon(_mean_known(curves, 0), rows, collected.fps)
    for subset in sorted(set(collected.subsets) - {""}):
        inside = np.array([s == subset for s in collected.subsets])
        report.tables["subset"].setdefault(subset, {})[name] = asdict(interval(clips[inside]))


def _horizon(curves: NDArray[np.float64], rows: Mapping[str, NDArray[np.float64]], fps: float) -> dict[str, Any]:
    """Mean over clips of each future frame, with its interval, against seconds ahead."""
    bands = [mean_interval(column) for column in curves.T]
    return {
        "seconds": [(n + 1) / fps for n in range(curves.shape[1])],
        "mean": [b.mean for b in bands],
        "low": [b.low for b in bands],
        "high": [b.high for b in bands],
        "references": {row: _mean_known(values, 0).tolist() for row, values in rows.items()},
    }


def _set_metric(report: Report, judge: SetMetric, collected: Collected, *, seed: int) -> None:
    name = judge.name
    real = collected.features(name, collected.rows[references.REAL])
    if len(real) < 2:
        report.warnings.append(f"{name} is left out: a distance of sets needs two clips at least.")
        return

    def draws(videos: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        def distance(chosen: NDArray[np.int64]) -> float:
            return judge.distance(_flat(real[chosen]), _flat(videos[chosen]))

        return distance(np.arange(len(real))), resample(distance, len(real), resamples=judge.resampled, seed=seed)

    points, drawn = zip(*(draws(collected.features(name, scores)) for scores in collected.samples), strict=True)
    report.resampled[name] = np.mean(drawn, axis=0)
    report.metrics[name] = set_interval(float(np.mean(points)), report.resampled[name], len(real))
    for row, scores in collected.rows.items():
        if row != references.REAL:
            figures = set_interval(*draws(collected.features(name, scores)), len(real))
            report.references.setdefault(row, {})[name] = figures
    if len(real) >= 4:
        # the real set against itself is zero by definition; its two halves show what chance alone makes of few clips
        halves = judge.distance(_flat(real[0::2]), _flat(real[1::2]))
        figures = Estimate(halves, float("nan"), float("nan"), len(real))
        report.references.setdefault(references.REAL, {})[name] = figures


def _flat(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features.reshape(-1, features.shape[-1])


def _mean_known(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean over what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))
