"""The loss curve: total, per domain and per noise level, where forgetting shows first."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from drivereplay.storage import Storage
from drivereplay.training.group import Group

CURVE = "curve.parquet"

LEVEL_BINS = 5
"""Noise levels are grouped by their uniform: the quantiles 0 to 0.2, …, 0.8 to 1 of the family's distribution."""


@dataclass(frozen=True)
class CurvePoint:
    """One optimiser step of a run, over all workers.

    Attributes:
        step: Number of the step, from 0.
        loss: Mean loss over the global batch, without retention terms and sample weights.
        learning_rate: Of this step.
        gradient_norm: Before clipping.
        domains: Mean loss of each domain that had samples in the step.
        levels: Mean loss of each fifth of the noise levels that had samples, by number.
        seconds: Wall time of the step, data included.
        waited_s: Part of it spent waiting for the batch.
    """

    step: int
    loss: float
    learning_rate: float
    gradient_norm: float
    domains: dict[str, float] = field(default_factory=dict)
    levels: dict[int, float] = field(default_factory=dict)
    seconds: float = 0.0
    waited_s: float = 0.0


def grouped(
    losses: Tensor, uniforms: Tensor, domains: np.ndarray, names: Sequence[str], group: Group
) -> tuple[float, dict[str, float], dict[int, float]]:
    """Mean loss in total, by domain and by noise level, over the samples of all workers.

    Args:
        losses: (b,) of this worker's samples.
        uniforms: (b,) in [0, 1).
        domains: (b,) numbers.
        names: Name of each domain.
    """
    values = losses.detach().double().cpu()
    level = (uniforms * LEVEL_BINS).long().clamp(max=LEVEL_BINS - 1).cpu()
    sums = torch.zeros(len(names) + LEVEL_BINS, 2, dtype=torch.float64)
    for place in (torch.tensor(domains.tolist()), len(names) + level):
        sums[:, 0].index_add_(0, place, values)
        sums[:, 1].index_add_(0, place, torch.ones_like(values))
    total = group.sum(sums).tolist()
    by_domain = {name: total[i][0] / total[i][1] for i, name in enumerate(names) if total[i][1]}
    rest = total[len(names) :]
    by_level = {i: row[0] / row[1] for i, row in enumerate(rest) if row[1]}
    return sum(r[0] for r in rest) / sum(r[1] for r in rest), by_domain, by_level


def write_curve(directory: Storage, points: Sequence[CurvePoint], domains: Sequence[str]) -> None:
    """Write `curve.parquet`: one row a step; a domain or level without samples in a step is null."""
    columns: dict[str, list[float | int | None]] = {
        "step": [p.step for p in points],
        "loss": [p.loss for p in points],
        "learning_rate": [p.learning_rate for p in points],
        "gradient_norm": [p.gradient_norm for p in points],
        "seconds": [p.seconds for p in points],
        "waited_s": [p.waited_s for p in points],
    }
    for name in domains:
        columns[f"domain/{name}"] = [p.domains.get(name) for p in points]
    for level in range(LEVEL_BINS):
        columns[f"level/{level}"] = [p.levels.get(level) for p in points]
    types = {name: pa.int64() if name == "step" else pa.float64() for name in columns}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=pa.schema(list(types.items()))), sink)
    directory.write(CURVE, sink.getvalue())


def read_curve(directory: Storage, *, before: int | None = None) -> list[CurvePoint]:
    """The points of `curve.parquet`, up to but without step `before`; empty if there is none."""
    if not directory.exists(CURVE):
        return []
    points = []
    for row in pq.read_table(io.BytesIO(directory.read(CURVE))).to_pylist():
        if before is not None and row["step"] >= before:
            continue
        groups = {
            kind: {k.split("/", 1)[1]: v for k, v in row.items() if k.startswith(kind) and v is not None}
            for kind in ("domain/", "level/")
        }
        levels = {int(name): value for name, value in groups["level/"].items()}
        plain = {k: row[k] for k in ("step", "loss", "learning_rate", "gradient_norm", "seconds", "waited_s")}
        points.append(CurvePoint(**plain, domains=groups["domain/"], levels=levels))
    return points
