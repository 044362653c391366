"""What an evaluation says: figures with intervals, reference rows, tables, warnings; `evaluation.json` on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.evaluation.protocol import Protocol
from drivereplay.storage import Storage

VERSION = 1
FILE = "evaluation.json"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        mean: The figure; for set metrics the distance itself.
        low, high: Ends of the bootstrap interval over clips; NaN where there are fewer than two clips.
        n: Clips it rests on.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass
class Report:
    """The result of one evaluation.

    Attributes:
        protocol: What fixes the meaning of the figures.
        metrics: Name → figure; with k > 1 samples per clip the mean over them.
        references: Row (`real`, `frozen`, `constant-motion`, `reconstruction`) → name → figure.
        clips: Names of the N clips.
        per_clip: Name → (N,) figures, mean over samples; NaN where a metric does not apply to a clip.
        tables: `best` (best of k), `horizon` (by seconds ahead), `subset` (regular, rare-motion), by metric.
        directions: Name → `min` or `max`.
        units: Name → unit.
        warnings: What a reader has to know before believing a figure.
    """

    protocol: Protocol
    metrics: dict[str, Estimate]
    references: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    clips: list[str] = field(default_factory=list)
    per_clip: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    directions: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """The report as JSON; numbers that are not finite become null."""
        data = {
            "version": VERSION,
            "protocol": {"hash": self.protocol.hash, "fields": self.protocol.fields},
            "metrics": {name: asdict(e) for name, e in self.metrics.items()},
            "references": {row: {n: asdict(e) for n, e in figures.items()} for row, figures in self.references.items()},
            "directions": self.directions,
            "units": self.units,
            "clips": self.clips,
            "per_clip": {name: values.tolist() for name, values in self.per_clip.items()},
            "tables": self.tables,
            "warnings": self.warnings,
        }
        return json.dumps(_finite(data), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = FILE) -> Report:
        """Read what `to_json` wrote.

        Args:
            where: Named in error messages.

        Raises:
            DataError: It is not a report, or one of another version.
        """
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise DataError(f"{where} has version {data['version']}, this program reads {VERSION}.", "Evaluate again.")
            return cls(
                protocol=Protocol(data["protocol"]["fields"]),
                metrics=_estimates(data["metrics"]),
                references={row: _estimates(figures) for row, figures in data["references"].items()},
                clips=list(data["clips"]),
                per_clip={n: np.array([_number(x) for x in v], dtype=np.float64) for n, v in data["per_clip"].items()},
                tables=data["tables"],
                directions=data["directions"],
                units=data["units"],
                warnings=list(data["warnings"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where} is not an evaluation report: {error!r}.", "Evaluate again.") from error

    def save(self, storage: Storage, name: str = FILE) -> None:
        """Write `evaluation.json` into a directory."""
        storage.write(name, self.to_json().encode())

    @classmethod
    def load(cls, storage: Storage, name: str = FILE) -> Report:
        """Read `evaluation.json` from a directory.

        Raises:
            DataError: It is not there or is no report.
        """
        try:
            text = storage.read(name)
        except FileNotFoundError as error:
            raise DataError(f"There is no {name} in {storage.uri}.", "Evaluate first.") from error
        return cls.from_json(text, f"{storage.uri}/{name}")


def _estimates(data: Mapping[str, Any]) -> dict[str, Estimate]:
    return {
        name: Estimate(_number(e["mean"]), _number(e["low"]), _number(e["high"]), int(e["n"])) for name, e in data.items()
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
