from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.domains.worlds import write_world
from drivereplay.evaluation.boxes import centres, real_tracks
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.videos import PairRules, read_pairs


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    place: Path = tmp_path_factory.mktemp("town")
    write_world(place, "town", clips=1, seed=3, frames=14, fps=8.0, height=96, width=160)
    file = place / "clip-000000.mp4"
    return Footage.of(next(iter(read_pairs([("town", (file,), file)], PairRules(context=2))))[0])


def _off(real: Footage, frames: np.ndarray) -> np.ndarray:
    """Distances (F, N) in pixels; infinite where lost, NaN where nothing is asked for."""
    found = anchored.tracks(real, real.with_frames(frames))
    true = real_tracks(real)
    off = np.linalg.norm(centres(found) - centres(true), axis=-1)
    return np.where(np.isnan(true).any(-1), np.nan, np.where(np.isnan(off), np.inf, off))


def test_the_real_video_has_the_real_boxes(town: Footage) -> None:
    np.testing.assert_array_equal(anchored.tracks(town, town), real_tracks(town))
    assert np.nanmedian(_off(town, town.frames.copy())) < 0.05


def test_a_shift_is_measured_to_a_part_of_a_pixel(town: Footage) -> None:
    frames = town.frames.copy()
    frames[2:] = np.roll(frames[2:], 3, axis=2)
    assert np.nanmedian(_off(town, frames)) == pytest.approx(3, abs=0.1)


def test_lost_stays_lost_until_it_is_seen_again(town: Footage) -> None:
    """Five frames of nothing: no box is carried on through them, and the objects are found again after them."""
    frames = town.frames.copy()
    frames[4:9] = 128
    off = _off(town, frames)
    asked = np.isfinite(real_tracks(town)).all(-1)
    assert np.isinf(off[2:7][asked[2:7]]).all()
    assert np.median(off[:2][asked[:2]]) < 0.1 and np.median(off[7:][asked[7:]]) < 0.1


def test_an_object_that_is_painted_over_is_not_found_in_its_place() -> None:
    clip = make_clip(5, frames=10, height=96, width=160, velocity=(4.0, 1.0), pan=0)
    assert clip.annotations is not None
    real, frames = Footage.of(clip), clip.frames.copy()
    background = np.median(clip.frames, axis=0).astype(np.uint8)
    for t in range(2, 10):
        x1, y1, x2, y2 = clip.annotations.boxes_px[t, 0].astype(int)
        frames[t, y1:y2, x1:x2] = background[y1:y2, x1:x2]
    # what is behind it is textured too: at best something elsewhere looks a little like it
    assert (_off(real, frames) > 3).all()


def test_boxes_take_the_size_that_fits_best(town: Footage) -> None:
    """Everything is drawn larger by a fifth about the middle: boxes grow."""
    import cv2

    frames = town.frames.copy()
    matrix = cv2.getRotationMatrix2D((80, 48), 0, 1.2)
    frames[2:] = [cv2.warpAffine(f, matrix, (160, 96)) for f in frames[2:]]
    found, true = anchored.tracks(town, town.with_frames(frames)), real_tracks(town)
    ratio = (found[..., 2] - found[..., 0]) / (true[..., 2] - true[..., 0])
    assert np.nanmedian(ratio) == pytest.approx(1.22, abs=0.05)
