"""What an estimator says of the real video itself: its floor, and whether a video that is wrong beats it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.metric import DYNAMICS, Metric
from drivereplay.evaluation.references import FROZEN, REAL
from drivereplay.evaluation.report import Report


def note_floor(report: Report, one: Metric, rows: Mapping[str, NDArray[np.float64]]) -> None:
    """Put a dynamics metric's floor, per clip, into `tables.floor`; warn where a frozen video beats the real one.

    Args:
        rows: Reference row → figures (N,) of the clips.
    """
    if one.name.split(".")[0] not in DYNAMICS or one.signed or not {REAL, FROZEN} <= rows.keys():
        return
    real, frozen = rows[REAL], rows[FROZEN]
    report.tables.setdefault("floor", {})[one.name] = [float(v) if np.isfinite(v) else None for v in real]
    known = np.isfinite(real) & np.isfinite(frozen)
    beaten = sum(one.better(float(f), float(r)) for f, r in zip(frozen[known], real[known], strict=True))
    if beaten:
        report.warnings.append(
            f"{one.name}: a frozen video has a better figure than the real one in {beaten} of {known.sum()} clips: "
            "the estimator's error is larger there than what it measures (clip by clip: tables.floor)."
        )
