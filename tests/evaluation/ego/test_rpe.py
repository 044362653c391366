from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.ego.paths import footage, motion

from drivereplay.evaluation.camera import CameraMotion
from drivereplay.evaluation.ego.rpe import (
    EgoFailureRate,
    RpeRotation,
    RpeRotationSecond,
    RpeTranslation,
    RpeTranslationSecond,
)


def test_a_turn_that_is_too_strong() -> None:
    real, made = footage(motion(1.0), motion(1.5))
    assert RpeRotation().curve(real, made) == pytest.approx([0.5] * 6)
    # a second is four frames
    assert RpeRotationSecond().curve(real, made)[3:] == pytest.approx([2.0] * 3)
    assert np.isnan(RpeRotationSecond().curve(real, made)[:3]).all()
    assert RpeTranslation().curve(real, made) == pytest.approx([0.0] * 6, abs=1e-6)


def test_a_wrong_direction_and_standing_still() -> None:
    real, made = footage(motion(), motion(aside=np.tan(np.radians(10))))
    assert RpeTranslation().score(RpeTranslation().curve(real, made)) == pytest.approx(10.0)
    assert RpeTranslationSecond().score(RpeTranslationSecond().curve(real, made)) == pytest.approx(10.0)
    assert RpeRotation().curve(real, made) == pytest.approx([0.0] * 6, abs=1e-6)
    still = motion()
    still = CameraMotion(still.rotations, still.directions * 0, still.lengths * 0, still.found)
    assert RpeTranslation().curve(*footage(motion(), still)) == pytest.approx([90.0] * 6)
    assert np.isnan(RpeTranslation().curve(*footage(motion(length=0.01), motion()))).all()


def test_failures_are_counted() -> None:
    failed = motion()
    failed.found[3] = False
    assert EgoFailureRate().score(EgoFailureRate().curve(*footage(motion(), failed))) == pytest.approx(1 / 6)
