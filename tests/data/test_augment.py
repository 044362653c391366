"""Augmentation: deterministic, and what is known follows the picture."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.data.augment import Augmentation, augmented
from drivereplay.domains.recording import ClipAnnotations
from drivereplay.spec import AugmentSpec

FULL = AugmentSpec(flip=0.5, crop=0.4, colour=1.0)


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    """A clip with a bright rectangle at (16..32, 12..24)."""
    frames = np.full((2, height, width, 3), 30, np.uint8)
    frames[:, 12:24, 16:32] = 220
    return frames


def known() -> ClipAnnotations:
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, :3, 3] = (1.0, 0.0, 2.0)
    angle = 0.1
    poses[1, :3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    return ClipAnnotations(
        ids=np.array([4]),
        classes=np.array(["car"]),
        boxes_px=np.tile(np.float32([16, 12, 32, 24]), (2, 1, 1)),
        visible=np.ones((2, 1), np.float32),
        poses=poses,
        intrinsics_px=np.tile(np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]]), (2, 1, 1)),
        positions_m=np.tile(np.array([-1.0, 0.0, 7.5]), (2, 1, 1)),
        sizes_m=np.float32([[4, 2, 1.5]]),
        headings_rad=np.float32([[0.3], [0.3]]),
    )


def box_of(frame: np.ndarray) -> list[float]:
    bright = frame[..., 0] > 125
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("sample", range(8))
def test_boxes_follow_the_picture(sample: int) -> None:
    change = Augmentation.of(AugmentSpec(flip=0.5, crop=0.4), 0, sample)
    frames = change.frames(picture())
    boxes = change.annotations(known(), 64, 48).boxes_px[0, 0]
    assert np.abs(np.clip(boxes, 0, [64, 48, 64, 48]) - box_of(frames[0])).max() <= 1.5


@pytest.mark.parametrize("sample", range(8))
def test_cameras_and_places_stay_consistent(sample: int) -> None:
    """A 3-D point is projected to the same place in the augmented picture as the picture's own change takes it."""
    change = Augmentation.of(AugmentSpec(flip=0.5, crop=0.4), 1, sample)
    before, after = known(), change.annotations(known(), 64, 48)

    def projected(notes: ClipAnnotations, t: int) -> np.ndarray:
        seen = np.linalg.inv(notes.poses[t]) @ [*notes.positions_m[t, 0], 1.0]
        place = notes.intrinsics_px[t] @ seen[:3]
        return place[:2] / place[2]

    x, y, w, h = change._cut(64, 48)
    for t in (0, 1):
        expected = (projected(before, t) - [x, y]) * [64 / w, 48 / h]
        if change.flip:
            expected[0] = 64 - expected[0]
        assert projected(after, t) == pytest.approx(expected)
        assert np.linalg.det(after.poses[t]) == pytest.approx(1)


def test_the_same_sample_always_gets_the_same() -> None:
    assert Augmentation.of(FULL, 3, 17) == Augmentation.of(FULL, 3, 17)
    assert len({Augmentation.of(FULL, 3, n) for n in range(50)}) == 50
    assert Augmentation.of(FULL, 4, 17) != Augmentation.of(FULL, 3, 17)


def test_probability_of_a_flip() -> None:
    flips = [Augmentation.of(AugmentSpec(flip=0.3), 0, n).flip for n in range(3000)]
    assert np.mean(flips) == pytest.approx(0.3, abs=0.03)
    assert not any(Augmentation.of(AugmentSpec(), 0, n).flip for n in range(100))


def test_colour_is_the_same_in_all_frames() -> None:
    frames = Augmentation.of(AugmentSpec(colour=1.0), 0, 2).frames(picture())
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames, picture())


def test_without_augmentation_nothing_is_copied() -> None:
    frames = picture()[None]
    assert augmented(frames, np.array([0]), AugmentSpec(), 0) is frames
    assert augmented(frames, np.array([0]), FULL, 0).shape == frames.shape
