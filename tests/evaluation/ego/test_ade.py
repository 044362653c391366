from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.ego.paths import footage, motion

from drivereplay.evaluation.camera import CameraMotion
from drivereplay.evaluation.ego.ade import EgoAde, EgoAdeScaled, EgoAte, fitted_scale, umeyama


@given(st.integers(0, 1000), st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_umeyama_undoes_a_similarity(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(12, 3))
    rotation, shift = cv2.Rodrigues(rng.normal(size=3))[0], rng.normal(size=3)
    found = umeyama(points, scale * points @ rotation.T + shift)
    assert found[0] == pytest.approx(scale)
    np.testing.assert_allclose(found[1], rotation, atol=1e-8)
    np.testing.assert_allclose(found[2], shift, atol=1e-7)


def test_umeyama_never_mirrors() -> None:
    points = np.random.default_rng(0).normal(size=(10, 3))
    _, rotation, _ = umeyama(points, points * (1, 1, -1))
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_units_and_scale() -> None:
    """The estimate knows lengths up to a factor; the last given step has the metres."""
    real, made = footage(motion(1.0, 2.0), motion(1.0, 1.0))
    for judge in (EgoAde(), EgoAdeScaled(), EgoAte()):
        assert judge.score(judge.curve(real, made)) == pytest.approx(0, abs=1e-6)
    assert fitted_scale(np.ones((2, 3)), np.zeros((2, 3))) == 1.0


def test_a_camera_that_slows_down() -> None:
    slow = motion(0.0, 1.0)
    slow = CameraMotion(slow.rotations, slow.directions, np.array([1.0, *[0.5] * 6]), slow.found)
    real, made = footage(motion(0.0, 2.0), slow)
    assert EgoAde().curve(real, made) == pytest.approx(np.arange(1, 7) * 1.0)
    # the scale makes up for it, on a straight drive too, which Umeyama alone could not align
    assert EgoAdeScaled().score(EgoAdeScaled().curve(real, made)) == pytest.approx(0, abs=1e-9)
    assert EgoAte().score(EgoAte().curve(real, made)) == pytest.approx(0, abs=1e-9)


def test_slow_traffic_is_not_standing() -> None:
    """Steps of 4.5 cm (1.35 m/s at 30 fps) are judged like any others: a frozen video is off by the way travelled."""
    slow, still = motion(length=0.045), motion()
    still = CameraMotion(still.rotations, still.directions * 0, still.lengths * 0, still.found)
    for judge in (EgoAde(), EgoAdeScaled()):
        assert judge.curve(*footage(slow, motion())) == pytest.approx([0] * 6, abs=1e-6)
        assert judge.curve(*footage(slow, still)) == pytest.approx(0.045 * np.arange(1, 7))
    assert EgoAte().score(EgoAte().curve(*footage(slow, still))) > 0.1


def test_a_turn_that_is_not_taken() -> None:
    real, made = footage(motion(5.0, 1.0), motion(0.0, 1.0))
    curve = EgoAde().curve(real, made)
    assert (np.diff(curve) > 0).all() and curve[-1] > 0.5


def test_steps_without_a_pose_are_worse_than_standing_still() -> None:
    """A grey video used to be given "straight ahead", which on a straight drive is right."""
    _real, _ = footage(motion(), motion())
    lost, still = motion(), motion()
    lost = CameraMotion(lost.rotations, lost.directions * 0, lost.lengths * 0, np.zeros(7, bool))
    still = CameraMotion(still.rotations, still.directions * 0, still.lengths * 0, still.found)
    for judge in (EgoAde(), EgoAdeScaled(), EgoAte()):
        failed = judge.score(judge.curve(*footage(motion(), lost)))
        assert failed >= judge.score(judge.curve(*footage(motion(), still))) > 0
    assert EgoAde().curve(*footage(motion(), lost)) == pytest.approx(2.0 * np.arange(1, 7))
