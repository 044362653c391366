from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.evaluation.clips import annotations

from drivereplay.evaluation.agents.relative_pose import RelativeBearing, RelativePose, RelativeRange
from drivereplay.evaluation.footage import Footage

CAMERA = np.array([[60.0, 0, 32], [0, 60.0, 24], [0, 0, 1]])


def _scene() -> tuple[Footage, np.ndarray]:
    """A flat object of 4 × 3 m, 20 m ahead, that comes 1 m nearer each frame; the camera stands still."""
    positions = np.array([[[2.0, 0.5, 20.0 - t]] for t in range(7)])
    corner, other = positions + np.array([-2, -1.5, 0]), positions + np.array([2, 1.5, 0])
    boxes = np.concatenate([x[..., :2] / x[..., 2:] * 60 + (32, 24) for x in (corner, other)], -1)
    known = annotations(
        boxes,
        poses=np.tile(np.eye(4), (7, 1, 1)),
        intrinsics_px=np.tile(CAMERA, (7, 1, 1)),
        positions_m=positions,
    )
    return Footage(np.zeros((7, 48, 64, 3), np.uint8), 2, 8.0, known), boxes


def test_exact_boxes_give_exact_places() -> None:
    real, _ = _scene()
    for judge in (RelativePose(), RelativeRange(), RelativeBearing()):
        assert judge.score(judge.curve(real, real)) < 0.15


def test_range_and_bearing_apart() -> None:
    real, boxes = _scene()
    middle, half = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    larger = real.with_frames(real.frames)
    larger.estimates["anchored_tracks"] = (np.concatenate([middle - 1.25 * half, middle + 1.25 * half], -1))[2:]
    far = np.linalg.norm([2, 0.5, 17.0])
    assert RelativeRange().score(RelativeRange().curve(real, larger)) == pytest.approx(far * 0.2, rel=0.1)
    assert RelativeBearing().score(RelativeBearing().curve(real, larger)) < 0.2
    aside = real.with_frames(real.frames)
    aside.estimates["anchored_tracks"] = (boxes + 3.0 * np.array([1, 0, 1, 0]))[2:]
    assert 2 < RelativeBearing().score(RelativeBearing().curve(real, aside)) < 3.5
    assert RelativeRange().score(RelativeRange().curve(real, aside)) < 0.1


def test_a_lost_object_is_off_by_its_range() -> None:
    real, boxes = _scene()
    lost = real.with_frames(real.frames)
    lost.estimates["anchored_tracks"] = (np.full_like(boxes, np.nan))[2:]
    assert RelativePose().curve(real, lost)[0] == pytest.approx(np.linalg.norm([2, 0.5, 18]))
    assert RelativeBearing().curve(real, lost)[0] == 90


def test_an_object_that_has_no_place_in_the_last_given_frame_is_not_asked_for() -> None:
    real, boxes = _scene()
    assert real.annotations is not None
    both, place = np.concatenate([boxes, boxes], 1), np.tile(real.annotations.positions_m, (1, 2, 1))
    place[1, 1] = np.nan
    known = replace(annotations(both, positions_m=place), poses=real.annotations.poses)
    known = replace(known, intrinsics_px=real.annotations.intrinsics_px)
    two = Footage(real.frames, 2, 8.0, known)
    for judge in (RelativePose(), RelativeRange(), RelativeBearing()):
        np.testing.assert_allclose(judge.curve(two, two), judge.curve(real, real))
