from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.detect import THRESHOLD, detections
from drivereplay.evaluation.footage import Footage


class _Seer:
    def detect(self, frames: np.ndarray, threshold: float) -> list[np.ndarray]:
        assert threshold == THRESHOLD
        return [np.array([[0, 0, 5, 5, 0.9, 2]] * (t % 2), np.float32).reshape(-1, 6) for t in range(len(frames))]


def test_any_detector_is_asked_for_the_future_frames_once() -> None:
    footage = Footage.of(make_clip(0))
    rows = detections(footage, _Seer())
    assert rows.shape == (3, 7) and rows[:, 0].tolist() == [1, 3, 5]
    assert detections(footage) is rows
