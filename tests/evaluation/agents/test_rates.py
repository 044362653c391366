from __future__ import annotations

import numpy as np
from tests.evaluation.clips import annotations

from drivereplay.evaluation.agents.rates import HallucinatedRate, MissingRate, agree, longest_run
from drivereplay.evaluation.footage import Footage

TRUE = np.array([[10.0, 10, 20, 20], [25, 5, 35, 15]])


def _pair(found: np.ndarray, frames: int = 9, visible: np.ndarray | None = None) -> tuple[Footage, Footage]:
    seen = np.ones((frames, 2), np.float32) if visible is None else visible
    known = annotations(np.tile(TRUE, (frames, 1, 1)), visible=seen)
    real = Footage(np.zeros((frames, 30, 40, 3), np.uint8), 2, 8.0, known)
    made = real.with_frames(real.frames)
    made.estimates["tracks"] = found
    return real, made


def test_agreement_and_runs() -> None:
    true = np.array([[[0.0, 0, 10, 10]] * 3])
    found = np.array([[[2.0, 0, 12, 10], [8, 0, 18, 10], [np.nan] * 4]])
    assert agree(true, found).tolist() == [[True, False, False]]
    flags = np.array([[1, 1, 0, 1, 1, 1, 0]], bool).T
    assert longest_run(flags, np.ones_like(flags)).tolist() == [3]
    assert longest_run(flags, np.array([[1, 1, 1, 1, 0, 1, 1]], bool).T).tolist() == [2]


def test_one_of_two_is_missing_and_hallucinated() -> None:
    found = np.tile(np.array([[10.0, 10, 20, 20], [0, 20, 10, 30]]), (9, 1, 1))
    real, made = _pair(found)
    assert MissingRate().score(MissingRate().curve(real, made)) == 0.5
    assert HallucinatedRate().score(HallucinatedRate().curve(real, made)) == 0.5
    found[:, 1] = np.nan
    real, made = _pair(found)
    assert MissingRate().score(MissingRate().curve(real, made)) == 0.5
    assert HallucinatedRate().score(HallucinatedRate().curve(real, made)) == 0.0


def test_a_short_track_has_to_be_found_throughout() -> None:
    found = np.tile(np.array([[10.0, 10, 20, 20], [25, 5, 35, 15]]), (5, 1, 1))
    found[4, 1] = np.nan
    real, made = _pair(found, frames=5)
    assert MissingRate().score(MissingRate().curve(real, made)) == 0.5


def test_a_track_that_is_hidden_for_a_while_can_be_found() -> None:
    """Seven visible frames of which at most four run on end: an exact video misses nothing, a late one does."""
    visible = np.ones((10, 2), np.float32)
    visible[6] = 0.2
    found = np.tile(TRUE, (10, 1, 1))
    assert MissingRate().score(MissingRate().curve(*_pair(found, 10, visible))) == 0
    found[[3, 8], 1] = np.nan
    assert MissingRate().score(MissingRate().curve(*_pair(found, 10, visible))) == 0.5


def test_what_is_followed_where_the_object_is_half_hidden_is_no_hallucination() -> None:
    visible = np.ones((10, 2), np.float32)
    visible[5:, 0] = 0.4
    found = np.tile(TRUE, (10, 1, 1))
    assert HallucinatedRate().score(HallucinatedRate().curve(*_pair(found, 10, visible))) == 0
    # in the frames that count the box has no counterpart
    found[2:5, 0] += 20
    assert HallucinatedRate().score(HallucinatedRate().curve(*_pair(found, 10, visible))) == 0.5
