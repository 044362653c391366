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


def against_base(rows: Sequence[Row], metric: str) -> dict[Setting, Effect]:
    """Mean over seeds of (no replay − the base that it began with): what plain fine-tuning has changed."""
    values = _by_seed(rows, metric)
    bases = {(dict(s.levels).get("target"), s.split): v for s, v in values.items() if s.budget == "base"}
    found = {}
    for setting, by_seed in values.items():
        base = bases.get((dict(setting.levels).get("target"), setting.split))
        if base and setting == _naive(setting) and "frequency" in dict(setting.levels):
            start = next(iter(base.values()))
            found[setting] = Effect.of([value - start for value in by_seed.values()])
    return found


def differences(rows: Sequence[Row], metrics: Sequence[str] = ()) -> str:
    """A table for each split: no replay against the base, then every dose against no replay, paired by seed.

    A star stands where the 95 % interval leaves out 0; of twenty settings without any effect one gets a star by chance.
    """
    names = list(metrics) or sorted({row["metric"] for row in rows})
    columns = {name: {**against_base(rows, name), **against_naive(rows, name)} for name in names}
    settings = sorted({s for column in columns.values() for s in column}, key=_dose)
    lines = []
    for split in dict.fromkeys(s.split for s in settings):
        lines += [f"**{split}**", "", f"| target | compared | budget | {' | '.join(names)} | seeds |"]
        lines.append("|" + " --- |" * (len(names) + 4))
        for setting in (s for s in settings if s.split == split):
            levels = dict(setting.levels)
            rho, source = levels["frequency"], levels.get("source", "")
            compared = "no replay − base" if setting == _naive(setting) else f"ρ = {rho} {source} − no replay"
            found = [columns[name].get(setting, Effect.of([])) for name in names]
            cells = [levels.get("target", ""), compared, setting.budget, *map(_signed, found), str(found[0].n)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _signed(effect: Effect) -> str:
    if not effect.n:
        return "–"
    half = f" ± {effect.half:.2g}" if np.isfinite(effect.half) else ""
    return f"{effect.mean:+.3g}{half}" + ("*" if abs(effect.mean) > effect.half else "")


def _dose(setting: Setting) -> tuple[Any, ...]:
    levels = dict(setting.levels)
    naive = setting == _naive(setting)
    dose = float(levels.get("frequency", -1))
    return setting.split, levels.get("target", ""), not naive, levels.get("source", ""), dose, setting.budget


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
    """Dose and response: a row for each metric, a column for each target and split, a line for each source over ρ.

    At equal steps; bars are 95 % intervals over seeds, the dashed line is the base before fine-tuning.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = {name: effects(rows, name) for name in metrics}
    settings = sorted({s for column in found.values() for s in column}, key=_dose)
    panels = sorted({(dict(s.levels).get("target", ""), s.split) for s in settings})
    doses = sorted({dict(s.levels)["frequency"] for s in settings if "frequency" in dict(s.levels)}, key=float)
    size = (3.6 * max(1, len(panels)), 2.5 * max(1, len(metrics)))
    drawn, axes = pyplot.subplots(
        max(1, len(metrics)), max(1, len(panels)), figsize=size, squeeze=False, layout="constrained"
    )
    for row, name in enumerate(metrics):
        for axis, (target, split) in zip(axes[row], panels, strict=False):
            here = [s for s in found[name] if (dict(s.levels).get("target", ""), s.split) == (target, split)]
            for number, (label, line) in enumerate(_lines(here).items()):
                values = [found[name][s] for s in line]
                if label == "base":
                    axis.axhline(values[0].mean, color="grey", linestyle="--", linewidth=1, label=label)
                    continue
                # a little apart, so that no bar hides another
                places = [doses.index(dict(s.levels)["frequency"]) + 0.08 * (number - 1) for s in line]
                bars = np.nan_to_num([e.half for e in values])
                axis.errorbar(
                    places, [e.mean for e in values], bars, marker="o", markersize=3, capsize=2, linewidth=1,
                    label=label,
                )  # fmt: skip
            axis.set_xticks(range(len(doses)), doses)
            axis.set(title=f"{target} · {split}" if row == 0 else "", ylabel=name)
            axis.set_xlabel("ρ" if row == len(metrics) - 1 else "")
    if panels:
        axes[0][0].legend(fontsize=7)
    drawn.savefig(path, dpi=110)
    pyplot.close(drawn)


def _lines(settings: Sequence[Setting]) -> dict[str, list[Setting]]:
    """Settings by what is drawn as one line: the base, and each source at equal steps, beginning without replay."""
    found: dict[str, list[Setting]] = {}
    # the base has no frequency and comes first
    ordered = sorted(settings, key=lambda s: float(dict(s.levels).get("frequency", -1)))
    naive = [s for s in ordered if s.budget == "equal-steps" and s == _naive(s)]
    for setting in ordered:
        source = dict(setting.levels).get("source", "")
        if setting.budget == "base":
            found.setdefault("base", []).append(setting)
        elif setting.budget == "equal-steps" and setting not in naive:
            found.setdefault(source, list(naive)).append(setting)
    return found if found.keys() - {"base"} or not naive else {**found, "no replay": naive}


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
