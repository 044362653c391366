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
from drivereplay.evaluation.footage import Footage


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
    # standing still is judged: a camera that moves where the real one stands is as wrong as one that stands
    assert RpeTranslation().curve(*footage(motion(length=0.01), motion())) == pytest.approx([90.0] * 6)
    assert RpeTranslation().curve(*footage(motion(length=0.01), still)) == pytest.approx([0.0] * 6)


def test_slow_traffic_has_a_direction_over_a_second() -> None:
    slow, aside = motion(length=0.03), motion(aside=np.tan(np.radians(10)))
    assert RpeTranslation().curve(*footage(slow, aside)) == pytest.approx([90.0] * 6)
    assert RpeTranslationSecond().curve(*footage(slow, aside))[3:] == pytest.approx([10.0] * 3)
    assert np.isnan(RpeTranslationSecond().curve(*footage(motion(length=0.01), aside))).all()


def test_a_truth_that_failed_is_no_truth() -> None:
    """Without annotated poses, steps for which the real frames tell no pose are left out, also out of a second."""
    estimated = motion(1.0)
    estimated.found[2] = False
    real = Footage(np.zeros((8, 16, 16, 3), np.uint8), 2, 2.0)
    real.estimates["camera"] = estimated.packed()
    made = real.with_frames(real.frames)
    made.estimates["camera"] = motion(1.5).packed()
    known = [True, False, True, True, True, True]
    for judge in (RpeRotation(), RpeTranslation()):
        assert np.isfinite(judge.curve(real, made)).tolist() == known
    assert RpeRotation().curve(real, made)[0] == pytest.approx(0.5)
    for judge in (RpeRotationSecond(), RpeTranslationSecond()):
        # a second is two frames: those that end in the second and the third future frame hold the failed step
        assert np.isfinite(judge.curve(real, made)).tolist() == [False, False, False, True, True, True]
    assert EgoFailureRate().score(EgoFailureRate().curve(real, made)) == 0


def test_a_black_video_has_a_failure_rate_and_no_error() -> None:
    black = Footage(np.zeros((8, 48, 64, 3), np.uint8), 2, 4.0)
    for judge in (RpeRotation(), RpeTranslation(), RpeRotationSecond(), RpeTranslationSecond()):
        assert np.isnan(judge.score(judge.curve(black, black)))
    assert EgoFailureRate().score(EgoFailureRate().curve(black, black)) == 1


def test_clips_under_a_second_are_refused() -> None:
    """Eight frames of which two are given: six future ones are a second at 6 fps and less than one at 8."""
    for judge in (RpeRotationSecond(), RpeTranslationSecond()):
        short, whole = (Footage(np.zeros((8, 16, 16, 3), np.uint8), 2, fps) for fps in (8.0, 6.0))
        assert judge.refuses(short) == "a second is 8 frames, the clips have 6 future ones"
        assert judge.refuses(whole) is None
        for clip, angles in ((short, 0), (whole, 1)):
            clip.estimates["camera"] = motion(1.0).packed()
            assert np.isfinite(judge.curve(clip, clip)).sum() == angles


def test_a_step_without_a_pose_costs_no_less_than_the_worst_with_one() -> None:
    """No pose in the fourth step: it costs as much as a random one, or the clip's worst where that is more."""
    failed = motion()
    failed.found[3] = False
    real, made = footage(motion(), failed)
    assert RpeTranslation().curve(real, made) == pytest.approx([0, 0, 90, 0, 0, 0], abs=1e-6)
    assert RpeRotation().curve(real, made) == pytest.approx([0, 0, 126.48, 0, 0, 0], abs=0.01)
    backwards = motion()
    turned = CameraMotion(backwards.rotations, -backwards.directions, backwards.lengths, failed.found)
    assert RpeTranslation().curve(*footage(motion(), turned)) == pytest.approx([180.0] * 6)
    nothing = CameraMotion(turned.rotations, turned.directions * 0, turned.lengths, np.zeros(7, bool))
    seconds = RpeTranslationSecond().curve(*footage(motion(), nothing))
    assert seconds[3:] == pytest.approx([90.0] * 3) and np.isnan(seconds[:3]).all()


def test_failures_are_counted() -> None:
    failed = motion()
    failed.found[3] = False
    assert EgoFailureRate().score(EgoFailureRate().curve(*footage(motion(), failed))) == pytest.approx(1 / 6)
