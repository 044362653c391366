from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import texture

from drivereplay.evaluation.ego.motion_error import WORST, EgoMotionError
from drivereplay.evaluation.footage import Footage

FRAMES, CONTEXT = 14, 2


def _flight(speed: float = 1.0, aside: float = 0.0, start: int = 0) -> np.ndarray:
    """Frames of a camera that nears a textured plane and moves aside, in units of the true speed."""
    paint = texture(np.random.default_rng(2), 320, 480, 2.0)
    frames = []
    for t in range(FRAMES):
        way = t if t < CONTEXT else CONTEXT - 1 + start + speed * (t - CONTEXT + 1)
        zoom = 0.6 * 1.03**way
        x, y = 240 + 1.5 * way + aside * max(t - CONTEXT + 1, 0), 160
        matrix = np.array([[zoom, 0, 80 - zoom * x], [0, zoom, 48 - zoom * y]])
        frames.append(cv2.warpAffine(paint, matrix, (160, 96), flags=cv2.INTER_AREA))
    return np.stack(frames)


def _error(frames: np.ndarray) -> float:
    real = Footage(_flight(), CONTEXT, 8.0)
    judge = EgoMotionError()
    return judge.score(judge.curve(real, real.with_frames(frames)))


def test_right_is_zero_frozen_is_one_backwards_is_more_and_nothing_is_worst() -> None:
    frozen = np.concatenate(
        [_flight()[:CONTEXT], np.repeat(_flight()[CONTEXT - 1 : CONTEXT], FRAMES - CONTEXT, axis=0)]
    )
    blank = np.concatenate([_flight()[:CONTEXT], np.full_like(_flight()[CONTEXT:], 128)])
    assert _error(_flight()) < 0.01
    assert _error(frozen) == pytest.approx(1, abs=0.1)
    # the sum is twice as wrong as a frozen one's, but no frame costs more than 2
    assert 1.5 < _error(_flight(-1.0)) < WORST
    assert _error(blank) == WORST
    assert _error(_flight(0.5)) == pytest.approx(0.5, abs=0.1)


def test_looks_cost_less_than_a_frame_s_delay() -> None:
    blurred, noisy = _flight(), _flight()
    rng = np.random.default_rng(0)
    for t in range(CONTEXT, FRAMES):
        blurred[t] = cv2.GaussianBlur(blurred[t], (0, 0), 2.0)
        noisy[t] = np.clip(noisy[t] + rng.normal(0, 15, noisy[t].shape), 0, 255)
    assert max(_error(blurred), _error(noisy)) < 0.5 * _error(_flight(start=1))
    assert _error(_flight(aside=1.0)) > 0.2


def test_a_camera_that_stands_still_is_judged() -> None:
    still = np.repeat(_flight()[:1], FRAMES, axis=0)
    real, judge = Footage(still, CONTEXT, 8.0), EgoMotionError()
    assert judge.score(judge.curve(real, real.with_frames(still.copy()))) == 0
    moving = np.concatenate([still[:CONTEXT], _flight()[CONTEXT:]])
    assert judge.score(judge.curve(real, real.with_frames(moving))) > 1.5
    blank = Footage(np.zeros_like(still), CONTEXT, 8.0)
    assert np.isnan(judge.score(judge.curve(blank, blank.with_frames(still))))
