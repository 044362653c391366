"""What a metric is, and the list of all metrics. Adding one means adding one class in one file of a metric package.

Every concrete subclass of `Metric` in a module of the packages `fidelity`, `agents`, `ego` and `motion` is a metric.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import SpecError
from drivereplay.evaluation.footage import Footage

logger = logging.getLogger(__name__)

Direction = Literal["min", "max"]
FAMILIES = ("fidelity", "agents", "ego", "motion")
DYNAMICS = ("agents", "ego", "motion")
PRIMARY_AUC = 0.9
"""AUC of the cheat ladder, on worlds and on recordings, from which a metric of dynamics is primary."""


class Metric(ABC):
    """One figure of merit. Subclass `ClipMetric` or `SetMetric`; the docstring holds the formula and its source."""

    name: ClassVar[str]
    """`family.name`, as in an experiment file."""
    unit: ClassVar[str]
    """Unit of the figure, `1` for a plain number or ratio."""
    direction: ClassVar[Direction]
    """Whether lower (`min`) or higher (`max`) is better."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What the real clips must have besides frames: `boxes`, `poses`, `positions`."""
    weights: ClassVar[tuple[str, ...]] = ()
    """Names of installed weights it needs (see `drivereplay.evaluation.weights`)."""
    settings: ClassVar[dict[str, Any]] = {}
    """Everything else that fixes the figure's meaning; part of the protocol."""
    light: ClassVar[bool] = True
    """Whether it is computed when nothing is asked for by name; False for what takes long."""
    auc: ClassVar[tuple[float, float] | None] = None
    """Published AUC of the cheat ladder on worlds and on recordings (docs/metrology.md); None where there is none.

    NaN stands for a set on which it has no figure, such as recordings without poses.
    """
    one_sided: ClassVar[bool] = False
    """Whether it sees one kind of error only, so that it can be won by making the other."""
    signed: ClassVar[bool] = False
    """Whether the best figure is 0 and its sign tells which way it is wrong; such a figure is no objective."""
    least_clips: ClassVar[int] = 1
    """Below this number of clips the figure is reported with a warning."""

    def unavailable(self) -> str | None:
        """Why it cannot be computed on this machine (weights that are not installed), or None if it can."""
        if not self.weights:
            return None
        from drivereplay.evaluation.weights import why_missing

        reasons = [reason for reason in (why_missing(name) for name in self.weights) if reason]
        return "; ".join(reasons) or None

    def is_default(self) -> bool:
        """Whether it belongs to an evaluation that names no metrics."""
        return self.light and not self.weights and self.unavailable() is None

    @property
    def primary(self) -> bool:
        """Whether it may stand for dynamics in a search: it sees motion before looks, and no cheat wins it."""
        seen = self.auc is not None and all(value >= PRIMARY_AUC for value in self.auc)
        return seen and not (self.one_sided or self.signed)

    def refuses(self, real: Footage) -> str | None:
        """Why clips of this length and size cannot be judged by it, or None if they can."""
        return None

    def protocol(self) -> dict[str, Any]:
        """Its part of the protocol: settings and the hashes of its weights."""
        if not self.weights:
            return dict(self.settings)
        from drivereplay.evaluation.weights import expected_sha256

        return {**self.settings, "weights": {name: expected_sha256(name) for name in self.weights}}

    def better(self, a: float, b: float) -> bool:
        """Whether figure `a` is strictly better than `b`."""
        return a < b if self.direction == "min" else a > b

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", 1)[0]


class ClipMetric(Metric):
    """A figure of each clip; the report's figure is the mean over clips."""

    horizon: ClassVar[bool] = True
    """Whether `curve` is a figure of each future frame, so that a table over seconds ahead makes sense."""
    bounds: ClassVar[tuple[float, float] | None] = None
    """Least and most that a clip's figure can be, where a penalty makes it jump: few clips may show none of the jumps,
    and their interval has to hold them all the same (see `statistics.mean_interval`)."""

    @abstractmethod
    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        """Figures (F,) of the F future frames; NaN where the metric does not apply (no object in the frame)."""

    def score(self, curve: NDArray[np.float64]) -> float:
        """The clip's figure from its curve: the mean over the frames it applies to; NaN if there are none."""
        known = curve[np.isfinite(curve)]
        return float(known.mean()) if len(known) else float("nan")


class SetMetric(Metric):
    """A figure of two sets of clips, computed from features of each clip."""

    @abstractmethod
    def features(self, videos: Sequence[Footage]) -> NDArray[np.float32]:
        """Features (N, m, D) of N clips: m = 1 for a feature of each video, m = F for one of each future frame."""

    @abstractmethod
    def distance(self, real: NDArray[np.float64], generated: NDArray[np.float64]) -> float:
        """The figure of two stacks of features (N, D), the real clips' and, in the same order, the generated ones'."""

    blocks: ClassVar[int] = 256
    """Parts of the clips that are left out in turn to see what each does to the figure; each costs a whole distance."""
    biased: ClassVar[bool] = False
    """Whether few clips make it larger: then no interval of the figure itself would hold the truth."""


@cache
def _registry() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for family in FAMILIES:
        package = importlib.import_module(f"drivereplay.evaluation.{family}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(module.name)).values():
                if _is_metric(value) and value.__module__ == module.name:
                    found[value.name] = value()
    return dict(sorted(found.items(), key=lambda item: (FAMILIES.index(item[0].split(".")[0]), item[0])))


def _is_metric(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, Metric) and not inspect.isabstract(value)


def metric_names() -> list[str]:
    """Names of all metrics, by family."""
    return list(_registry())


def plain_name(name: str) -> str:
    """`agents.ade` of `agents.ade@rare`: the metric without the evaluation set."""
    return name.partition("@")[0]


def secondary(names: Sequence[str]) -> list[str]:
    """Those of the named metrics of dynamics that are not primary."""
    return [name for name in map(plain_name, names) if name.split(".")[0] in DYNAMICS and not metric(name).primary]


def check_objectives(names: Sequence[str]) -> None:
    """Warn of metrics of dynamics that are not primary.

    Raises:
        SpecError: A signed metric has no better direction; a one-sided one alone can be won by the other error.
    """
    names = list(dict.fromkeys(plain_name(name) for name in names))
    for name in names:
        if metric(name).signed:
            absolute = f"{name}_error"
            hint = f"Take {absolute}." if absolute in metric_names() else "Report it, and search with another metric."
            raise SpecError(f"search.objectives: {name} is signed: its best figure is 0.", hint)
    dynamics = [name for name in names if name.split(".")[0] in DYNAMICS]
    if dynamics and all(metric(name).one_sided for name in dynamics):
        raise SpecError(
            f"search.objectives: {', '.join(dynamics)} sees one kind of error only and is won by making the other.",
            "Add a metric that sees both, such as agents.ade.",
        )
    for name in secondary(names):
        auc = metric(name).auc
        figure = "not measured" if auc is None else " and ".join(f"{value:.2f}" for value in auc)
        logger.warning(
            "%s is a secondary metric: on the cheat ladder it tells motion from looks with an AUC of %s (%.1f is asked "
            "of a primary one). Primary: %s.",
            name, figure, PRIMARY_AUC, ", ".join(n for n in metric_names() if metric(n).primary) or "none",
        )  # fmt: skip


def metric(name: str) -> Metric:
    """The metric called `name`, on whatever evaluation set (`agents.ade@rare`).

    Raises:
        SpecError: There is no such metric.
    """
    try:
        return _registry()[plain_name(name)]
    except KeyError:
        near = difflib.get_close_matches(plain_name(name), metric_names(), n=1)
        hint = f"Did you mean '{near[0]}'?" if near else "There are: " + ", ".join(metric_names()) + "."
        raise SpecError(f"There is no metric '{name}'.", hint) from None
