"""Moving pictures for the image tab."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from drivereplay.dashboard.animation import GAP_PX, LEAST_HEIGHT_PX, gif, side_by_side


def test_side_by_side_is_as_long_as_the_shortest() -> None:
    a, b = np.zeros((6, 8, 10, 3), np.uint8), np.full((4, 8, 12, 3), 200, np.uint8)
    both = side_by_side(a, b)
    assert both.shape == (4, 8, 10 + GAP_PX + 12, 3)
    assert (both[:, :, :10] == 0).all() and (both[:, :, -12:] == 200).all()


def test_gif_keeps_frames_and_time_and_enlarges_small_ones() -> None:
    frames = np.stack([np.full((16, 24, 3), 40 * t, np.uint8) for t in range(5)])
    picture = Image.open(io.BytesIO(gif(frames, fps=8)))
    assert picture.n_frames == 5
    assert picture.size == (24 * 8, LEAST_HEIGHT_PX)
    assert picture.info["duration"] in (120, 130) and picture.info["loop"] == 0
    picture.seek(3)
    assert abs(int(np.asarray(picture.convert("RGB"))[5, 5, 0]) - 120) < 4
