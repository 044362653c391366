"""Figures of a training for Prometheus."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay import telemetry
from drivereplay.data.batch import Batch
from drivereplay.logs import fields
from drivereplay.spec import parse_spec
from drivereplay.training.curve import CurvePoint
from drivereplay.training.gauges import TrainingGauges, planned_shares

WORLD = {"kind": "world", "world": "shapes", "clips": 8}
SPEC = parse_spec(
    {
        "name": "t",
        "target": {"name": "driving", "source": WORLD},
        "replay": {
            "frequency": 0.0,
            "frequency_end": 0.5,
            "domains": [{"name": "a", "weight": 3, "source": WORLD}, {"name": "b", "weight": 1, "source": WORLD}],
        },
        "training": {"steps": 11, "batch_size": 8},
    }
)


def batch(domains: list[int]) -> Batch:
    n = len(domains)
    zeros = np.zeros(n, np.int64)
    frames = np.zeros((n, 2, 4, 4, 3), np.uint8)
    return Batch(0, 0, zeros, zeros, np.array(domains), zeros, frames, np.zeros(n, bool))


def test_a_ramp_is_planned_linearly() -> None:
    assert planned_shares(SPEC, 0) == pytest.approx([1.0, 0.0, 0.0])
    assert planned_shares(SPEC, 5) == pytest.approx([0.75, 0.1875, 0.0625])
    assert planned_shares(SPEC, 10) == pytest.approx([0.5, 0.375, 0.125])


def test_shares_so_far_against_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[tuple[str, ...], float] = {}
    monkeypatch.setattr(telemetry, "gauge", lambda name, value, **tags: told.update({(name, *tags.values()): value}))
    gauges = TrainingGauges(SPEC)
    with fields(trial="t0003"):
        gauges.stepped(CurvePoint(0, 1.0, 1e-3, 1.0, seconds=0.5, waited_s=0.1), batch([0] * 8))
        gauges.stepped(CurvePoint(10, 0.5, 1e-3, 1.0, seconds=0.25, waited_s=0.0), batch([0, 0, 0, 0, 1, 1, 1, 2]))
    assert told["drivereplay_training_share", "t", "t0003", "driving"] == 0.75
    assert told["drivereplay_training_planned_share", "t", "t0003", "driving"] == 0.75
    assert told["drivereplay_training_planned_share", "t", "t0003", "a"] == pytest.approx(
        told["drivereplay_training_share", "t", "t0003", "a"]
    )
    assert told["drivereplay_training_samples_per_second", "t", "t0003"] == 32.0
    assert told["drivereplay_training_data_wait_share", "t", "t0003"] == 0.0
