from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drivereplay.errors import DataError
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.report import Estimate, Report
from drivereplay.storage import Storage


def _report() -> Report:
    return Report(
        protocol=Protocol({"fps": 8.0}),
        metrics={"agents.ade": Estimate(0.1, 0.05, 0.2, 3)},
        references={"real": {"agents.ade": Estimate(0.01, float("nan"), float("nan"), 1)}},
        clips=["a", "b", "c"],
        per_clip={"agents.ade": np.array([0.1, np.nan, 0.2])},
        groups=["r", "r", "s"],
        pseudo_values={"fidelity.fvd": np.array([1.0, 2.0, 4.0])},
        tables={"best": {}},
        directions={"agents.ade": "min"},
        units={"agents.ade": "diagonal"},
        warnings=["few clips"],
    )


def test_a_report_survives_the_disk(tmp_path: Path) -> None:
    _report().save(Storage.of(tmp_path))
    text = (tmp_path / "evaluation.json").read_text()
    assert "NaN" not in text and json.loads(text)["per_clip"]["agents.ade"] == [0.1, None, 0.2]
    for back in (Report.load(Storage.of(tmp_path)), Report.load(tmp_path), Report.load(tmp_path / "evaluation.json")):
        assert back.to_json() == _report().to_json()
        assert np.isnan(back.per_clip["agents.ade"][1]) and back.metrics == _report().metrics


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no evaluation\.json"):
        Report.load(tmp_path)
    with pytest.raises(DataError, match="is not an evaluation report"):
        Report.from_json("[1, 2]")
    with pytest.raises(DataError, match="has version 99"):
        Report.from_json({**_report().to_json(), "version": 99})


def test_an_estimate_reads_well() -> None:
    assert str(Estimate(1.23456, 1.0, 1.5, 10)) == "1.235 [1, 1.5]"
