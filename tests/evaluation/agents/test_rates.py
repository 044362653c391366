from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import annotations, make_clip, texture

from drivereplay.evaluation.agents.rates import HallucinatedRate, MissingRate, agree
from drivereplay.evaluation.footage import Footage

TRUE = np.array([[10.0, 10, 20, 20], [25, 5, 35, 15]])


def _pair(found: np.ndarray, frames: int = 9, visible: np.ndarray | None = None) -> tuple[Footage, Footage]:
    seen = np.ones((frames, 2), np.float32) if visible is None else visible
    known = annotations(np.tile(TRUE, (frames, 1, 1)), visible=seen)
    real = Footage(np.zeros((frames, 30, 40, 3), np.uint8), 2, 8.0, known)
    made = real.with_frames(real.frames)
    made.estimates["anchored_tracks"] = found[2:]
    return real, made


def test_agreement() -> None:
    true = np.array([[[0.0, 0, 10, 10]] * 3])
    found = np.array([[[2.0, 0, 12, 10], [8, 0, 18, 10], [np.nan] * 4]])
    assert agree(true, found).tolist() == [[True, False, False]]


def test_one_of_two_is_missing_and_hallucinated() -> None:
    found = np.tile(np.array([[10.0, 10, 20, 20], [0, 20, 10, 30]]), (9, 1, 1))
    real, made = _pair(found)
    assert MissingRate().score(MissingRate().curve(real, made)) == 0.5
    assert HallucinatedRate().score(HallucinatedRate().curve(real, made)) == 0.5
    found[:, 1] = np.nan
    real, made = _pair(found)
    assert MissingRate().score(MissingRate().curve(real, made)) == 0.5
    assert HallucinatedRate().score(HallucinatedRate().curve(real, made)) == 0.0


def test_object_frames_are_counted() -> None:
    """Six object-frames, one of them not found; a frame in which the object is half hidden is not asked for."""
    found = np.tile(TRUE, (5, 1, 1))
    found[4, 1] = np.nan
    assert MissingRate().score(MissingRate().curve(*_pair(found, 5))) == pytest.approx(1 / 6)
    visible = np.ones((5, 2), np.float32)
    visible[4] = 0.2
    assert MissingRate().score(MissingRate().curve(*_pair(found, 5, visible))) == 0


def test_what_is_found_where_the_object_is_half_hidden_is_no_hallucination() -> None:
    visible = np.ones((10, 2), np.float32)
    visible[5:, 0] = 0.4
    found = np.tile(TRUE, (10, 1, 1))
    assert HallucinatedRate().score(HallucinatedRate().curve(*_pair(found, 10, visible))) == 0
    # in the three frames that count the box has no counterpart
    found[2:5, 0] += 20
    curve = HallucinatedRate().curve(*_pair(found, 10, visible))
    assert curve.tolist() == [0.5] * 3 + [0.0] * 5


def test_a_blank_video_misses_everything_and_an_added_thing_is_seen() -> None:
    clip = make_clip(1, frames=16, height=64, width=96, pan=0)
    real = Footage.of(clip)
    blank = real.with_frames(np.concatenate([clip.frames[:2], np.full_like(clip.frames[2:], 128)]))
    assert MissingRate().score(MissingRate().curve(real, blank)) == 1
    assert MissingRate().score(MissingRate().curve(real, real)) == 0
    added = clip.frames.copy()
    thing = texture(np.random.default_rng(9), 16, 16, 2.0)
    for t in range(2, 16):
        added[t, 44:60, 90 - 16 - 2 * t : 90 - 2 * t] = thing
    curve = HallucinatedRate().curve(real, real.with_frames(added))
    assert np.mean(curve > 0) > 0.7
    assert HallucinatedRate().score(HallucinatedRate().curve(real, real)) == 0
