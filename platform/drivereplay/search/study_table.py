"""The table and the picture of a study: means over seeds with 95 % intervals, and differences from no replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

Row = Mapping[str, Any]
Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Effect:
    """A mean over seeds.

    Attributes:
        mean: Mean over seeds of the mean over clips.
        half: Half of the 95 % interval: Student's t over n seeds; NaN for a single seed.
        n: Seeds.
    """

    mean: float
    half: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Effect:
        """Of one figure for each seed."""
        array = np.asarray(values, float)
        array = array[np.isfinite(array)]
        if not len(array):
            return cls(float("nan"), float("nan"), 0)
        if len(array) == 1:
            return cls(float(array[0]), float("nan"), 1)
        half = stats.t.ppf(0.975, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array))
        return cls(float(array.mean()), float(half), len(array))

    def __str__(self) -> str:
        if not self.n:
            return "–"
        return f"{self.mean:.4g}" + (f" ± {self.half:.2g}" if np.isfinite(self.half) else "")


@dataclass(frozen=True)
class Setting:
    """What one line of the table is about: levels (without the seed), budget and split."""

    levels: Key
    budget: str
    split: str


def effects(rows: Sequence[Row], metric: str) -> dict[Setting, Effect]:
    """Effect of every setting on a metric, the base's and the reference rows' among them (`budget` names those)."""
    return {setting: Effect.of(list(values.values())) for setting, values in _by_seed(rows, metric).items()}


def against_naive(rows: Sequence[Row], metric: str) -> dict[Setting, Effect]:
    """Mean over seeds of (setting − the same without replay, same seed): negative is less."""
    values = _by_seed(rows, metric)
    found = {}
    for setting, by_seed in values.items():
        naive = values.get(_naive(setting))
        if naive is None or setting == _naive(setting) or "frequency" not in dict(setting.levels):
            continue
        both = sorted(set(by_seed) & set(naive))
        if both:
            found[setting] = Effect.of([by_seed[seed] - naive[seed] for seed in both])
    return found


def markdown(rows: Sequence[Row], metrics: Sequence[str] = ()) -> str:
    """One table for each split and metric family member asked for; all metrics if none is named."""
    names = list(metrics) or sorted({row["metric"] for row in rows})
    columns = {name: effects(rows, name) for name in names}
    settings = sorted({s for column in columns.values() for s in column}, key=lambda s: (s.split, s.levels, s.budget))
    factors = sorted({factor for s in settings for factor, _ in s.levels}, key=_factor_order)
    lines = []
    for split in dict.fromkeys(s.split for s in settings):
        lines += [f"**{split}**", "", f"| {' | '.join([*factors, 'budget', *names, 'seeds'])} |"]
        lines.append("|" + " --- |" * (len(factors) + len(names) + 2))
        for setting in (s for s in settings if s.split == split):
            levels = dict(setting.levels)
            found = [columns[name].get(setting, Effect.of([])) for name in names]
            cells = [*(levels.get(f, "") for f in factors), setting.budget, *map(str, found), str(found[0].n)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def figure(rows: Sequence[Row], path: Path, metrics: tuple[str, ...]) -> None:
    """Two metrics against each other: a panel for each split and target, a line for each source of replay over ρ."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    one, other = (effects(rows, name) for name in metrics)
    shared = [setting for setting in one if setting in other]
    panels = sorted({(dict(s.levels).get("target", ""), s.split) for s in shared})
    width = 4.6 * max(1, len(panels))
    drawn, axes = pyplot.subplots(1, max(1, len(panels)), figsize=(width, 4.2), squeeze=False, layout="constrained")
    for axis, (target, split) in zip(axes[0], panels, strict=False):
        here = [s for s in shared if s.split == split and dict(s.levels).get("target", "") == target]
        for label, settings in _lines(here).items():
            x, y = ([column[s] for s in settings] for column in (one, other))
            axis.errorbar(
                [e.mean for e in x], [e.mean for e in y], np.nan_to_num([e.half for e in y]),
                np.nan_to_num([e.half for e in x]), marker="o", capsize=2, linewidth=1, label=label,
            )  # fmt: skip
            for setting, a, b in zip(settings, x, y, strict=True):
                axis.annotate(dict(setting.levels).get("frequency", ""), (a.mean, b.mean), fontsize=7)
        axis.set(title=f"{target} · {split}", xlabel=metrics[0], ylabel=metrics[1])
        axis.legend(fontsize=7)
    drawn.savefig(path, dpi=110)
    pyplot.close(drawn)


def _lines(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """Settings by what is drawn as one line: the base, the reference rows, and each source at equal steps."""
    found: dict[str, list[Setting]] = {}
    for setting in sorted(settings, key=lambda s: float(dict(s.levels).get("frequency", "nan"))):
        levels = dict(setting.levels)
        if setting.budget in {"base", "frozen", "constant-motion"}:
            found.setdefault(setting.budget, []).append(setting)
        elif setting.budget == "equal-steps":
            found.setdefault(levels.get("source", "").replace("-", "no replay"), []).append(setting)
    return found


def _by_seed(rows: Sequence[Row], metric: str) -> dict[Setting, dict[Any, float]]:
    found: dict[Setting, dict[Any, float]] = {}
    for row in rows:
        if row["metric"] != metric or row["mean"] is None:
            continue
        budget = row["reference"] or row["budget"]
        setting = Setting(tuple(sorted(row["levels"].items())), budget, row["split"])
        found.setdefault(setting, {})[row["seed"]] = row["mean"]
    return found


def _naive(setting: Setting) -> Setting:
    """The same without replay: ρ = 0, and no source."""
    levels = {factor: {"frequency": "0", "source": "-"}.get(factor, level) for factor, level in setting.levels}
    return Setting(tuple(sorted(levels.items())), setting.budget, setting.split)


def _factor_order(factor: str) -> tuple[int, str]:
    order = ("target", "source", "frequency")
    return (order.index(factor) if factor in order else len(order), factor)
