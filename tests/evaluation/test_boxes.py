from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import annotations, make_clip

from drivereplay.evaluation.boxes import assigned, centres, half_hidden, known_at_start, overlaps, real_tracks
from drivereplay.evaluation.footage import Footage


def test_overlaps_by_hand() -> None:
    a = np.array([[0, 0, 2, 2], [5, 5, 6, 6], [np.nan] * 4])
    b = np.array([[1, 0, 3, 2], [0, 0, 2, 2]], dtype=float)
    assert overlaps(a, b) == pytest.approx(np.array([[1 / 3, 1], [0, 0], [0, 0]]))
    assert (centres(b) == [[2, 1], [1, 1]]).all()


def test_the_assignment_is_the_best_in_total() -> None:
    rows, columns = assigned(np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.2]]), 0.3)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_only_what_is_clear_at_the_start_is_asked_for() -> None:
    boxes = np.tile(np.array([[5.0, 5, 20, 20], [5, 5, 8, 20], [30, 5, 45, 20]]), (8, 1, 1))
    visible = np.ones((8, 3), np.float32)
    visible[1, 2], visible[5, 0] = 0.5, 0.2
    clip = make_clip(0)
    real = Footage(clip.frames, 2, 8.0, annotations(boxes, visible=visible))
    assert known_at_start(real).tolist() == [True, False, False]
    seen = np.isfinite(real_tracks(real)).all(-1)
    assert seen[:, 0].tolist() == [True, True, True, False, True, True] and not seen[:, 1:].any()


def test_half_hidden_is_annotated_and_seen_by_less_than_half() -> None:
    boxes = np.tile(np.array([5.0, 5, 20, 20]), (8, 1, 1))
    boxes[7] = np.nan
    visible = np.array([1, 1, 1, 0.5, 0.4, 0, 1, 0], np.float32)[:, None]
    real = Footage(np.zeros((8, 30, 40, 3), np.uint8), 2, 8.0, annotations(boxes, visible=visible))
    assert half_hidden(real)[:, 0].tolist() == [False, False, True, True, False, False]
