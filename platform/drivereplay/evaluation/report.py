"""What an evaluation says: figures with intervals, reference rows, tables, warnings; `evaluation.json` on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.evaluation.draws import ClipFigures
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.statistics import Estimate
from drivereplay.storage import Storage

__all__ = ["FILE", "VERSION", "Estimate", "Report"]

VERSION = 2
FILE = "evaluation.json"


@dataclass
class Report:
    """The result of one evaluation.

    Attributes:
        protocol: What fixes the meaning of the figures.
        metrics: Name → figure; with k > 1 samples per clip the mean over them.
        references: Row (`real`, `frozen`, `constant-motion`, `reconstruction`) → name → figure.
        clips: Names of the N clips.
        per_clip: Name → (N,) figures, mean over samples; NaN where a metric does not apply to a clip.
        groups: Recording of each clip; clips of one recording are no independent evidence.
        pseudo_values: Set metric → (N,) jackknife pseudo-values, mean over samples: what each clip does to the figure.
        sets: Evaluation set → (first, end) of its clips in `clips`; empty for one set without a name. The figures of
            `agents.ade@rare` are those of the set `rare`, clip by clip.
        tables: `best` (best of k), `horizon` (by seconds ahead), `split` (regular, rare-motion), `unbiased` (figures of
            sets as they would be with endless clips), by metric.
        directions: Name → `min` or `max`.
        units: Name → unit.
        warnings: What a reader has to know before believing a figure.
    """

    protocol: Protocol
    metrics: dict[str, Estimate]
    references: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    clips: list[str] = field(default_factory=list)
    per_clip: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    pseudo_values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    sets: dict[str, tuple[int, int]] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def units_of(self, name: str) -> tuple[tuple[str, str], ...]:
        """(recording, clip) of the clips behind a metric's figures."""
        first, end = self.sets.get(name.partition("@")[2], (0, len(self.clips)))
        groups = self.groups or self.clips
        return tuple(zip(groups[first:end], self.clips[first:end], strict=True))

    def figures(self, names: Iterable[str]) -> dict[str, ClipFigures]:
        """What paired draws are made from, for those of the metrics that the report holds."""
        found = {name: self.per_clip.get(name, self.pseudo_values.get(name)) for name in names}
        return {n: ClipFigures(self.metrics[n].mean, v, self.units_of(n)) for n, v in found.items() if v is not None}

    @classmethod
    def joined(cls, reports: Mapping[str, Report]) -> Report:
        """One report of several evaluation sets, whose metrics are called `metric@set`; the only one as it is.

        Args:
            reports: Set → its report; the one without a name comes alone.
        """
        if "" in reports:
            return reports[""]
        whole = cls(Protocol({"sets": {name: report.protocol.fields for name, report in reports.items()}}), {})
        for name, report in reports.items():
            whole.sets[name] = (len(whole.clips), len(whole.clips) + len(report.clips))
            whole.clips += report.clips
            whole.groups += report.groups
            for held, more in (
                (whole.metrics, report.metrics),
                (whole.per_clip, report.per_clip),
                (whole.pseudo_values, report.pseudo_values),
                (whole.directions, report.directions),
                (whole.units, report.units),
            ):
                held.update(_named(more, name))  # type: ignore[attr-defined]
            for row, figures in report.references.items():
                whole.references.setdefault(row, {}).update(_named(figures, name))
            for table, rows in report.tables.items():
                if table == "split":
                    for split, figures in rows.items():
                        whole.tables.setdefault(table, {}).setdefault(split, {}).update(_named(figures, name))
                elif table == "pseudo":
                    whole.tables.setdefault(table, {})[name] = rows
                else:
                    whole.tables.setdefault(table, {}).update(_named(rows, name))
            whole.warnings += [f"{name}: {warning}" for warning in report.warnings]
        return whole

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values; numbers that are not finite become None."""
        data = {
            "version": VERSION,
            "protocol": {"hash": self.protocol.hash, "fields": self.protocol.fields},
            "metrics": {name: asdict(e) for name, e in self.metrics.items()},
            "references": {row: {n: asdict(e) for n, e in figures.items()} for row, figures in self.references.items()},
            "directions": self.directions,
            "units": self.units,
            "clips": self.clips,
            "per_clip": {name: values.tolist() for name, values in self.per_clip.items()},
            "groups": self.groups,
            "pseudo_values": {name: values.tolist() for name, values in self.pseudo_values.items()},
            "sets": self.sets,
            "tables": self.tables,
            "warnings": self.warnings,
        }
        return dict(_finite(data))

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | str | bytes, where: str = FILE) -> Report:
        """Read what `to_json` gave or `save` wrote.

        Args:
            document: The values, or their JSON text.
            where: Named in error messages.

        Raises:
            DataError: It is not a report, or one of another version.
        """
        try:
            data = document if isinstance(document, Mapping) else json.loads(document)
            if data["version"] != VERSION:
                what = f"{where} has version {data['version']}, this program reads {VERSION}."
                raise DataError(what, "Evaluate again.")
            return cls(
                protocol=Protocol(data["protocol"]["fields"]),
                metrics=_estimates(data["metrics"]),
                references={row: _estimates(figures) for row, figures in data["references"].items()},
                clips=list(data["clips"]),
                per_clip=_arrays(data["per_clip"]),
                groups=list(data["groups"]),
                pseudo_values=_arrays(data["pseudo_values"]),
                sets={name: (int(first), int(end)) for name, (first, end) in data["sets"].items()},
                tables=data["tables"],
                directions=data["directions"],
                units=data["units"],
                warnings=list(data["warnings"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where} is not an evaluation report: {error!r}.", "Evaluate again.") from error

    def save(self, storage: Storage, name: str = FILE) -> None:
        """Write `evaluation.json` into a directory."""
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        storage.write(name, text.encode())

    @classmethod
    def load(cls, place: Storage | str | Path, name: str = FILE) -> Report:
        """Read a report from a directory, or from the file itself.

        Raises:
            DataError: It is not there or is no report.
        """
        if not isinstance(place, Storage):
            if str(place).endswith(".json"):
                directory, _, name = str(place).rpartition("/")
                place = directory or "."
            place = Storage.of(place)
        try:
            text = place.read(name)
        except FileNotFoundError as error:
            raise DataError(f"There is no {name} in {place.uri}.", "Evaluate first.") from error
        return cls.from_json(text, f"{place.uri}/{name}")


def _named(figures: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {f"{metric}@{name}": value for metric, value in figures.items()}


def _arrays(data: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    return {name: np.array([_number(x) for x in values], dtype=np.float64) for name, values in data.items()}


def _estimates(data: Mapping[str, Any]) -> dict[str, Estimate]:
    return {
        n: Estimate(_number(e["mean"]), _number(e["low"]), _number(e["high"]), int(e["n"])) for n, e in data.items()
    }


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _finite(value: Any) -> Any:
    """Plain JSON values; NaN and infinities become None because JSON has none."""
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
