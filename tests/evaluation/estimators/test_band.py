from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.evaluation.estimators import band
from drivereplay.evaluation.footage import Footage


def _real() -> Footage:
    return Footage.of(make_clip(4, frames=10, height=96, width=160))


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference in the future frames, in grey levels."""
    return float(np.sqrt(((a - b)[2:] ** 2).mean()))


@pytest.mark.parametrize("looks", ["blur", "noise", "dark", "quarter"])
def test_altered_looks_become_alike(looks: str) -> None:
    real, rng = _real(), np.random.default_rng(0)
    frames = real.frames.astype(np.float64)
    height, width = frames.shape[1:3]
    change = {
        "blur": lambda f: cv2.GaussianBlur(f, (0, 0), 2.0),
        "noise": lambda f: f + rng.normal(0, 15, f.shape),
        "dark": lambda f: f * 0.5,
        "quarter": lambda f: cv2.resize(
            cv2.resize(f, (width // 4, height // 4), interpolation=cv2.INTER_AREA), (width, height)
        ),
    }[looks]
    made = real.with_frames(np.clip(np.rint([change(f) for f in frames]), 0, 255).astype(np.uint8))
    before = _apart(real.grey.astype(np.float64), made.grey.astype(np.float64))
    after = _apart(*(x.astype(np.float64) for x in band.common(real, made)))
    assert after < before / 2.5


def test_what_is_elsewhere_stays_elsewhere() -> None:
    """Spectra do not tell where things are: a shift by 4 px is one of 4 px afterwards."""
    real = _real()
    made = real.with_frames(np.roll(real.frames, 4, axis=2))
    first, second = (x[5][8:-8, 12:-12] for x in band.common(real, made))
    window = first[20:60, 40:90]
    _, _, _, place = cv2.minMaxLoc(cv2.matchTemplate(second, window, cv2.TM_CCOEFF_NORMED))
    assert place == (44, 20)


def test_a_blank_video_stays_blank_and_small_frames_are_doubled() -> None:
    real = _real()
    blank = real.with_frames(np.full_like(real.frames, 90))
    assert band.common(real, blank)[1].std() < 1
    assert band.working_scale((8, 32, 48, 3)) == 2 and band.working_scale((8, 256, 448, 3)) == 0.5
    assert band.common(real, real)[0] is band.common(real, real)[1]
