"""Recording: every world gives clips that are reproducible, different from each other, and consistently annotated."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.world import Shot, render, render_all, samples_per_side
from drivereplay.domains.worlds.writer import WORLD_VERSION


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


# CRC-32 of clips 0 and 1 of seed 23 (4 frames of 48 × 72; clip 1 of driving worlds shows rare motion) at commit 2fbe556
PICTURES = {
    "highway": (743854535, 3239061924),
    "town": (4194808313, 2268275615),
    "night-rain": (2552689437, 3589030049),
    "shapes": (742659259, 2752139120),
    "orbit": (2514183714, 1404011936),
    "drone": (3091699303, 1522549940),
    "streetcam": (3236746052, 2405814366),
    "handheld": (4160573675, 2716286465),
    "crowd": (2020572842, 3599402428),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_same_seed_shows_what_it_always_has(name: str) -> None:
    """Where pictures have to change, `writer.WORLD_VERSION` goes up and these are recorded anew."""
    assert WORLD_VERSION == 2
    world = world_named(name)
    shots = (Shot(23, clip, 4, 8.0, 48, 72, "rare-motion" if clip and world.driving else "regular") for clip in (0, 1))
    assert tuple(zlib.crc32(world.record(shot).frames.tobytes()) for shot in shots) == PICTURES[name]


@pytest.mark.parametrize("name", ["town", "night-rain", "handheld"])
def test_frames_together_are_those_one_by_one(name: str) -> None:
    """11 frames are more than are worked out at once; the handheld camera zooms."""
    take = world_named(name).take(Shot(2, 1, 11, 8.0, 48, 72))
    together = np.concatenate([pictures for pictures, _ in render_all(take)])
    np.testing.assert_array_equal(together, [render(take, frame)[0] for frame in range(11)])


def test_annotations_without_pictures_are_those_with_them() -> None:
    shot, town = Shot(2, 1, 11, 8.0, 48, 72), world_named("town")
    footage = town.record(shot)
    frames, objects = town.annotate(shot)
    for columns, expected in ((frames, footage.frame_columns), (objects, footage.object_columns)):
        assert columns.keys() == expected.keys()
        for key, values in expected.items():
            np.testing.assert_array_equal(columns[key], values)


def test_small_pictures_get_more_samples() -> None:
    assert [samples_per_side(height) for height in (32, 64, 96, 480)] == [4, 3, 2, 2]


def test_a_single_frame_and_odd_sizes_are_possible() -> None:
    for name in WORLDS:
        assert world_named(name).record(Shot(0, 0, 1, 10.0, 33, 47)).frames.shape == (1, 33, 47, 3)
