from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.agents.map import AgentsMap, average_precision, mean_average_precision
from drivereplay.evaluation.footage import Footage


def _row(frame: int, x: float, score: float, kind: int = 2) -> list[float]:
    return [frame, x, 0, x + 10, 10, score, kind]


def test_known_answers() -> None:
    true = np.array([_row(0, 0, 0.9), _row(1, 0, 0.9)], np.float32)
    assert mean_average_precision(true, true) == pytest.approx(1.0)
    assert mean_average_precision(true, true[:0]) == 0.0
    # one of two found: precision 1 up to recall 1/2, which 51 of the 101 recalls reach
    assert mean_average_precision(true, true[:1]) == pytest.approx(51 / 101)
    # shifted to IoU 0.6: right at .50, .55 and .60 of ten thresholds
    shifted = np.array([_row(0, 2.5, 0.9), _row(1, 2.5, 0.9)], np.float32)
    assert mean_average_precision(true, shifted) == pytest.approx(0.3)
    assert np.isnan(mean_average_precision(np.array([_row(0, 0, 0.4)], np.float32), true))


def test_a_sure_false_alarm_costs_more_than_an_unsure_one() -> None:
    true = np.array([_row(0, 0, 0.9)])[:, :5]
    sure = np.array([_row(0, 0, 0.5), _row(0, 40, 0.9)])[:, :6]
    unsure = np.array([_row(0, 0, 0.9), _row(0, 40, 0.5)])[:, :6]
    assert average_precision(true, sure, 0.5) == pytest.approx(0.5)
    assert average_precision(true, unsure, 0.5) == pytest.approx(1.0)


def test_the_metric_takes_what_the_detector_sees() -> None:
    real = Footage.of(make_clip(0))
    made = real.with_frames(real.frames)
    real.estimates["detections"] = np.array([_row(0, 0, 0.9)], np.float32)
    made.estimates["detections"] = np.array([_row(0, 0, 0.3)], np.float32)
    assert AgentsMap().score(AgentsMap().curve(real, made)) == pytest.approx(1.0)
