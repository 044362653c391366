"""One report against another of the same protocol: differences with paired intervals, effect sizes and p-values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drivereplay.errors import ProtocolError
from drivereplay.evaluation.report import Report
from drivereplay.evaluation.statistics import Difference, compare_means, compare_sets


@dataclass(frozen=True)
class Comparison:
    """A against B.

    Attributes:
        differences: Metric → A − B.
        directions: Metric → `min` or `max`.
        units: Metric → unit.
        figures: Metric → (A, B).
    """

    differences: Mapping[str, Difference]
    directions: Mapping[str, str]
    units: Mapping[str, str]
    figures: Mapping[str, tuple[float, float]]

    def verdict(self, name: str) -> str:
        """`better by x [lo, hi], p = …`, x in the metric's unit and positive where A is better.

        Says so where no clip has a figure of the metric in both reports.
        """
        found = self.differences[name]
        if math.isnan(found.estimate.mean):
            return "nothing to compare: no clip has a figure in both"
        sign = -1.0 if self.directions[name] == "min" else 1.0
        low, high = sorted((sign * found.estimate.low, sign * found.estimate.high))
        gain = sign * found.estimate.mean
        word = "better by" if gain > 0 else "worse by" if gain < 0 else "equal:"
        if gain < 0:
            gain, low, high = -gain, -high, -low
        return f"{word} {gain:.3g} [{low:.3g}, {high:.3g}] {self.units[name]}, p = {found.p:.2g}"

    def rows(self) -> list[dict[str, Any]]:
        """A row of the table for each metric."""
        return [
            {
                "metric": name,
                "this": self.figures[name][0],
                "against": self.figures[name][1],
                "verdict": self.verdict(name),
                "effect size": found.effect,
            }
            for name, found in self.differences.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            name: {
                "difference": found.estimate.mean,
                "low": found.estimate.low,
                "high": found.estimate.high,
                "n": found.estimate.n,
                "p": found.p,
                "effect": found.effect,
                "verdict": self.verdict(name),
            }
            for name, found in self.differences.items()
        }


def compare(a: Report, b: Report, *, resamples: int = 1000, seed: int = 0) -> Comparison:
    """A against B over the same clips and seeds, for every metric that both hold.

    Raises:
        ProtocolError: The reports are of different protocols; the message names the fields that differ.
    """
    a.protocol.require_same(b.protocol)
    if a.clips != b.clips:
        raise ProtocolError("The reports hold different clips under one protocol.", "Evaluate both again.")
    differences: dict[str, Difference] = {}
    for name in a.metrics.keys() & b.metrics.keys():
        groups = [recording for recording, _ in a.units_of(name)]
        if name in a.per_clip:
            found = compare_means(a.per_clip[name], b.per_clip[name], groups, resamples=resamples, seed=seed)
        else:
            means = a.metrics[name].mean, b.metrics[name].mean
            pseudo = a.pseudo_values[name], b.pseudo_values[name]
            found = compare_sets(*means, *pseudo, groups, resamples=resamples, seed=seed)
        differences[name] = found
    ordered = {name: differences[name] for name in a.metrics if name in differences}
    return Comparison(
        ordered, a.directions, a.units, {name: (a.metrics[name].mean, b.metrics[name].mean) for name in ordered}
    )
