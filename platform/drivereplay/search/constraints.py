"""Constraints on metrics: how much worse than the base a candidate may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.spec import SearchSpec, Spec

BUDGET = "gpu_hours"
COSTS = ("cost.device_hours", "cost.total_s", "cost.train_s", "cost.evaluate_s")
"""What a checkpoint has cost since its trial began; objectives and constraints may name it like a metric."""


@dataclass(frozen=True)
class Limit:
    """A metric may be worse than the base's by at most so much.

    Attributes:
        metric: Its name.
        direction: `min` or `max`.
        worse_by: In the metric's unit, 0 or more.
    """

    metric: str
    direction: str
    worse_by: float

    def violation(self, candidate: Candidate, base: Candidate) -> float:
        """How far beyond the limit, in the metric's unit; 0 or less is allowed, infinity without the metric."""
        if self.metric not in candidate.metrics or self.metric not in base.metrics:
            return float("inf")
        worse = candidate.metrics[self.metric].mean - base.metrics[self.metric].mean
        worse = worse if self.direction == "min" else -worse
        return worse - self.worse_by if worse == worse else float("inf")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"metric": self.metric, "direction": self.direction, "worse_by": self.worse_by}


def limits_of(search: SearchSpec, directions: Mapping[str, str]) -> tuple[Limit, ...]:
    """The constraints of an experiment that are about metrics.

    Raises:
        SpecError: A limit is negative, or there is no base to compare with.
    """
    limits = tuple(
        Limit(metric, directions[metric], worse_by)
        for metric, worse_by in search.constraints.items()
        if metric != BUDGET
    )
    for limit in limits:
        if limit.worse_by < 0:
            raise SpecError(
                f"search.constraints.{limit.metric}: {limit.worse_by} is below 0; it is a tolerated worsening."
            )
    if limits and "base" not in search.anchors:
        raise SpecError(
            "search.constraints: a limit against the base needs the anchor `base`.", "Add it to search.anchors."
        )
    return limits


def judged_spec(spec: Spec) -> Spec:
    """The experiment as checkpoints are judged by: what limits are set on has to be in their reports.

    A report holds the objectives, whatever else is asked for; here the metrics of the constraints count among them.
    """
    limited = [metric for metric in spec.search.constraints if metric != BUDGET]
    wanted = tuple(name for name in dict.fromkeys([*spec.search.objectives, *limited]) if name not in COSTS)
    return spec.model_copy(update={"search": spec.search.model_copy(update={"objectives": wanted})})


def violations_of(candidate: Candidate, limits: Sequence[Limit], candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Of each limit; empty without limits, or while the base has not been evaluated."""
    base = base_of(candidates)
    return () if base is None else tuple(limit.violation(candidate, base) for limit in limits)


def feasible(candidates: Sequence[Candidate], limits: Sequence[Limit]) -> list[Candidate]:
    """Those that violate no limit; the base never does.

    Of a setting with several seeds the mean counts, so that seeds are to be pooled before (`drivereplay.search.seeds`).
    """
    base = base_of(candidates)
    if base is None:
        return list(candidates)
    return [c for c in candidates if all(limit.violation(c, base) <= 0 for limit in limits)]


def base_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """The evaluated base."""
    return next((c for c in candidates if c.kind == "base" and c.status == "finished"), None)
