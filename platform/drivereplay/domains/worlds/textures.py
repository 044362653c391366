"""Luminance textures that repeat, with their smaller copies (mip levels) in one atlas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 128
"""Texels along a tile's side at the finest level."""
LEVELS = 6

PLAIN, ASPHALT, GRASS, PAVING, FACADE, LEAVES, CLOTH, CHECKER, BARK, MOSAIC = range(10)

# size of a tile in metres, and how far its luminance swings about 1
_TILES = {
    PLAIN: (8.0, 0.10),
    ASPHALT: (6.0, 0.30),
    GRASS: (10.0, 0.45),
    PAVING: (4.0, 0.35),
    FACADE: (6.4, 0.55),
    LEAVES: (3.0, 0.60),
    CLOTH: (1.2, 0.25),
    CHECKER: (2.0, 0.50),
    BARK: (1.0, 0.40),
    MOSAIC: (5.0, 0.80),
}


@dataclass(frozen=True)
class Atlas:
    """All textures at all levels.

    Attributes:
        image: Luminance about 0; each tile is surrounded by a border of one texel of its own other side.
        top: (textures,) float32, row of the first texel of a texture's tiles.
        left: (levels,) float32, column of the first texel of a level's tiles.
        side: (levels,) float32, texels along a tile's side.
        tile_m: (textures,) float32, side of a tile in metres.
    """

    image: NDArray[np.float32]
    top: NDArray[np.float32]
    left: NDArray[np.float32]
    side: NDArray[np.float32]
    tile_m: NDArray[np.float32]


@cache
def atlas() -> Atlas:
    """The atlas, the same in every process."""
    rng = np.random.default_rng(20)
    draw = {
        PLAIN: lambda: _noise(rng, 6, 1.2),
        ASPHALT: lambda: 0.6 * _noise(rng, 24, 1.0) + 0.6 * _noise(rng, 5, 1.5),
        GRASS: lambda: 0.5 * _noise(rng, 16, 1.0) + 0.8 * _noise(rng, 4, 1.0),
        PAVING: lambda: _grid(4, 3) + 0.4 * _cells(rng, 4),
        FACADE: lambda: _facade(rng),
        LEAVES: lambda: _noise(rng, 10, 1.0),
        CLOTH: lambda: 0.8 * np.sign(_noise(rng, 4, 2.0)),
        CHECKER: _checker,
        BARK: lambda: np.repeat(_noise(rng, 12, 1.0)[:1], SIDE, axis=0),
        MOSAIC: lambda: _cells(rng, 8) + 0.3 * _noise(rng, 20, 1.0),
    }
    sides = SIDE >> np.arange(LEVELS)
    lefts = np.cumsum(sides + 2) - sides - 1
    image = np.zeros((len(_TILES) * (SIDE + 2), int((sides + 2).sum())), np.float32)
    for texture, (_, swing) in _TILES.items():
        tile = draw[texture]()
        tile = (tile - tile.mean()).astype(np.float32)
        tile *= swing / max(1e-6, float(np.abs(tile).max()))
        top = texture * (SIDE + 2)
        for side, left in zip(sides.tolist(), lefts.tolist(), strict=True):
            image[top : top + side + 2, left - 1 : left + side + 1] = np.pad(tile, 1, mode="wrap")
            tile = tile.reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))
    tops = np.arange(len(_TILES)) * (SIDE + 2) + 1
    tile_m = np.array([_TILES[n][0] for n in range(len(_TILES))])
    return Atlas(image, *(values.astype(np.float32) for values in (tops, lefts, sides, tile_m)))


def _noise(rng: np.random.Generator, cells: int, falloff: float) -> NDArray[np.float64]:
    """Smooth noise that repeats, four octaves, in about [−1, 1]."""
    total = np.zeros((SIDE, SIDE))
    for octave in range(4):
        side = min(SIDE, cells * 2**octave)
        lattice = np.pad(rng.uniform(-1, 1, (side, side)), 2, mode="wrap").astype(np.float32)
        step = SIDE / side
        at = ((np.arange(SIDE) + 0.5) / step - 0.5 + 2).astype(np.float32)
        x, y = np.meshgrid(at, at)
        total += cv2.remap(lattice, x, y, cv2.INTER_LINEAR) / (2.0 ** (octave / falloff))
    return total


def _cells(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    values = rng.uniform(-1, 1, (count, count))
    return values.repeat(SIDE // count, axis=0).repeat(SIDE // count, axis=1)


def _grid(count: int, line: int) -> NDArray[np.float64]:
    at = np.arange(SIDE) % (SIDE // count) < line
    return np.where(at[:, None] | at[None, :], -1.0, 0.0)


def _facade(rng: np.random.Generator) -> NDArray[np.float64]:
    """Two storeys of two windows each: dark panes, light sills. Row 0 is the foot of the wall."""
    wall = 0.25 * _noise(rng, 16, 1.0)
    half = SIDE // 2
    for row in range(2):
        for column in range(2):
            y, x = row * half + half // 4, column * half + half // 4
            wall[y : y + half // 2, x : x + half // 2] = -1.0 + 0.3 * rng.uniform()
            wall[y - 4 : y, x - 3 : x + half // 2 + 3] = 0.7
    return wall


def _checker() -> NDArray[np.float64]:
    at = np.arange(SIDE) // (SIDE // 4) % 2
    return np.where(at[:, None] == at[None, :], 1.0, -1.0)
