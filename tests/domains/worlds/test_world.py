"""Recording: every world gives clips that are reproducible, different from each other, and consistently annotated."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.world import Shot, samples_per_side


@pytest.mark.parametrize("name", WORLDS)
def test_a_shot_is_a_pure_function_of_what_is_asked(name: str) -> None:
    world = world_named(name)
    one, same, other, elsewhere = (
        world.record(Shot(seed, clip, 3, 8.0, 32, 48)) for seed, clip in ((1, 2), (1, 2), (1, 3), (2, 2))
    )
    assert one.frames.shape == (3, 32, 48, 3)
    np.testing.assert_array_equal(one.frames, same.frames)
    for key, values in one.object_columns.items():
        np.testing.assert_array_equal(values, same.object_columns[key])
    assert (one.frames != other.frames).mean() > 0.3
    assert (one.frames != elsewhere.frames).mean() > 0.3


@pytest.mark.parametrize("name", WORLDS)
def test_pictures_have_contrast_and_move(name: str) -> None:
    frames = world_named(name).record(Shot(0, 0, 9, 8.0, 64, 96)).frames.astype(float)
    assert frames.std() > (6 if name == "night-rain" else 25)
    assert 10 < frames.mean() < 220
    step = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert (step > 0.15).all()
    # and do not jump: neighbouring frames are nearer to each other than distant ones
    assert step.mean() < np.abs(frames[8] - frames[0]).mean()


@pytest.mark.parametrize("name", WORLDS)
def test_annotations_are_complete_and_continuous(name: str) -> None:
    footage = world_named(name).record(Shot(4, 1, 8, 24.0, 64, 96))
    objects, frames = footage.object_columns, footage.frame_columns
    assert np.isfinite([frames[key] for key in frames]).all()
    boxes = np.stack([objects[key] for key in ("x1_px", "y1_px", "x2_px", "y2_px")], axis=1)
    shown = np.isfinite(boxes).all(axis=1)
    assert (np.isfinite(boxes).any(axis=1) == shown).all()
    assert (boxes[shown] >= 0).all()
    assert (boxes[shown] <= (96, 64, 96, 64)).all()
    assert (objects["visible"][~shown] == 0).all()
    # an object moves less than 3 m between two frames at 24 per second, and its size stays
    places = np.stack([objects[key] for key in ("x_m", "y_m", "z_m")], axis=1)
    for number in np.unique(objects["id"]):
        rows = np.flatnonzero(objects["id"] == number)
        assert (np.diff(objects["frame"][rows]) == 1).all()
        assert np.linalg.norm(np.diff(places[rows], axis=0), axis=1).max() < 3.0
        assert len(set(objects["length_m"][rows])) == 1


def test_small_pictures_get_more_samples() -> None:
    assert [samples_per_side(height) for height in (32, 64, 96, 480)] == [4, 3, 2, 2]


def test_a_single_frame_and_odd_sizes_are_possible() -> None:
    for name in WORLDS:
        assert world_named(name).record(Shot(0, 0, 1, 10.0, 33, 47)).frames.shape == (1, 33, 47, 3)
