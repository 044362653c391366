"""The texture atlas."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.textures import FACADE, LEVELS, SIDE, atlas


def tile(texture: int, level: int, border: int = 0) -> np.ndarray:
    tiles = atlas()
    side, left, top = (int(v) for v in (tiles.side[level], tiles.left[level], tiles.top[texture]))
    return tiles.image[top - border : top + side + border, left - border : left + side + border]


def test_tiles_are_balanced_and_do_not_leave_their_range() -> None:
    for texture in range(len(atlas().tile_m)):
        finest = tile(texture, 0)
        assert finest.shape == (SIDE, SIDE)
        assert abs(finest.mean()) < 0.02
        assert 0.05 < np.abs(finest).max() < 0.9
        assert finest.std() > 0.01


def test_every_level_is_the_mean_of_the_finer_one() -> None:
    for level in range(1, LEVELS):
        finer, coarser = tile(FACADE, level - 1), tile(FACADE, level)
        side = len(coarser)
        np.testing.assert_allclose(coarser, finer.reshape(side, 2, side, 2).mean(axis=(1, 3)), atol=1e-6)


def test_borders_repeat_the_other_side() -> None:
    for level in range(LEVELS):
        wide = tile(FACADE, level, border=1)
        np.testing.assert_array_equal(wide[0], wide[-2])
        np.testing.assert_array_equal(wide[:, -1], wide[:, 1])
