"""Batches."""

from __future__ import annotations

import numpy as np

from drivereplay.data.batch import Batch


def test_length_is_that_of_its_samples() -> None:
    numbers = np.arange(3)
    batch = Batch(0, 0, numbers, numbers, numbers, numbers, np.zeros((3, 2, 8, 8, 3), np.uint8), np.zeros(3, bool))
    assert len(batch) == 3
