from __future__ import annotations

import numpy as np
from tests.evaluation.clips import make_clip

from drivereplay.evaluation import references
from drivereplay.evaluation.footage import Footage


def test_rows_keep_the_context_and_are_what_they_say() -> None:
    real = Footage.of(make_clip())
    rows = references.rows(real)
    assert set(rows) == {"real", "frozen", "constant-motion"} and rows["real"] is real
    for row in rows.values():
        np.testing.assert_array_equal(row.frames[:2], real.frames[:2])
        assert row.frames.shape == real.frames.shape
    assert (rows["frozen"].future == real.frames[1]).all()


def test_constant_motion_carries_a_pan_on() -> None:
    real = Footage.of(make_clip(velocity=(0.0, 0.0), pan=2, annotated=False))
    rows = references.rows(real)
    moved, frozen = (
        np.abs(rows[r].frames[4].astype(int) - real.frames[4])[:, :50].mean() for r in ("constant-motion", "frozen")
    )
    assert moved < 0.5 * frozen


def test_one_given_frame_tells_no_motion() -> None:
    assert set(references.rows(Footage.of(make_clip(context=1)))) == {"real", "frozen"}
