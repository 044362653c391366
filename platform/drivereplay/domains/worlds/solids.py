"""Convex solids with coloured, textured faces: what everything in a world is built of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.textures import PLAIN

CORNERS = 8
"""Most corners of a face; shorter ones repeat their last."""

Array = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Face:
    """A flat convex polygon.

    Attributes:
        corners: (n, 3) metres, counter-clockwise seen from outside, n ≤ 8.
        colour: RGB in [0, 255], as lit by full light.
        texture: A name in `textures.TEXTURES`.
        glow: Share of the colour that shines by itself, 0 to 1 (lamps), or above for bright lights.
    """

    corners: Array
    colour: Colour
    texture: int = PLAIN
    glow: float = 0.0


@dataclass(frozen=True)
class Solid:
    """A convex solid: its F faces do not hide each other. Decals lie on a face and follow it.

    Attributes:
        corners: (F, 8, 3) metres; shorter faces repeat their last corner.
        colours: (F, 3) RGB.
        textures: (F,)
        glows: (F,)
    """

    corners: Array
    colours: Array
    textures: NDArray[np.int64]
    glows: Array

    @classmethod
    def of(cls, faces: Sequence[Face]) -> Solid:
        """A solid of single faces."""
        return cls(
            np.stack([padded(face.corners) for face in faces]),
            np.array([face.colour for face in faces], float),
            np.array([face.texture for face in faces]),
            np.array([face.glow for face in faces], float),
        )

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, heading_rad: float = 0.0) -> Solid:
        """A copy that is turned about z and then shifted."""
        c, s = math.cos(heading_rad), math.sin(heading_rad)
        turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        return Solid(self.corners @ turn + np.array([x, y, z]), self.colours, self.textures, self.glows)

    def joined(self, *others: Solid) -> Solid:
        """A copy with the faces of others after its own."""
        parts = (self, *others)
        return Solid(
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.colours for part in parts]),
            np.concatenate([part.textures for part in parts]),
            np.concatenate([part.glows for part in parts]),
        )

    def with_decals(self, decals: Sequence[Face]) -> Solid:
        """A copy with polygons that lie on its faces."""
        return self.joined(Solid.of(decals)) if decals else self


def padded(corners: Array) -> Array:
    """(8, 3) with the last corner repeated."""
    return np.asarray(corners, float)[np.minimum(np.arange(CORNERS), len(corners) - 1)]


@dataclass(frozen=True)
class Body:
    """Solids that move together; origin on the ground below the middle, x forward, y left, z up."""

    solids: tuple[Solid, ...]
    size_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Length, width, height of the 3-D box."""
    limbs: tuple[Body, ...] = field(default=())
    """Parts of the same object that move by themselves."""
    shadow: tuple[Solid, ...] = ()
    """Patches of the ground that move along; they are no part of the object."""


def loft(
    lower: Sequence[tuple[float, float]],
    upper: Sequence[tuple[float, float]],
    bottom_m: float,
    top_m: float,
    colour: Colour,
    *,
    top: Colour | None = None,
    texture: int = PLAIN,
    top_texture: int | None = None,
    glow: float = 0.0,
) -> Solid:
    """Walls between two convex outlines (x, y) of equal length, counter-clockwise from above; lid and floor."""
    count = len(lower)
    after, fill = _RINGS[count]
    low, high = np.empty((count, 3)), np.empty((count, 3))
    low[:, :2], low[:, 2], high[:, :2], high[:, 2] = lower, bottom_m, upper, top_m
    corners = np.empty((count + 2, CORNERS, 3))
    corners[:count, 0], corners[:count, 1] = low, low[after]
    corners[:count, 2], corners[:count, 3:] = high[after], high[:, None]
    corners[count], corners[count + 1] = high[fill], low[::-1][fill]
    colours = np.empty((count + 2, 3))
    colours[:], colours[count] = colour, top or colour
    textures = np.full(count + 2, texture)
    textures[count], textures[count + 1] = texture if top_texture is None else top_texture, PLAIN
    return Solid(corners, colours, textures, np.full(count + 2, glow))


_RINGS = {
    count: ((np.arange(count) + 1) % count, np.minimum(np.arange(CORNERS), count - 1))
    for count in range(3, CORNERS + 1)
}


def box(
    length_m: float,
    width_m: float,
    height_m: float,
    colour: Colour,
    *,
    bottom_m: float = 0.0,
    top: Colour | None = None,
    texture: int = PLAIN,
    top_texture: int | None = None,
    glow: float = 0.0,
) -> Solid:
    """An upright box whose middle is over the origin."""
    outline = rectangle(length_m, width_m)
    return loft(
        outline, outline, bottom_m, bottom_m + height_m, colour,
        top=top, texture=texture, top_texture=top_texture, glow=glow,
    )  # fmt: skip


def rectangle(length_m: float, width_m: float, x: float = 0.0, y: float = 0.0) -> list[tuple[float, float]]:
    """Counter-clockwise outline."""
    a, b = length_m / 2, width_m / 2
    return [(x - a, y - b), (x + a, y - b), (x + a, y + b), (x - a, y + b)]


def polygon(sides: int, radius_m: float, turn_rad: float = 0.0) -> list[tuple[float, float]]:
    """Counter-clockwise outline of a regular polygon."""
    angles = [turn_rad + n * 2 * math.pi / sides for n in range(sides)]
    return [(radius_m * math.cos(angle), radius_m * math.sin(angle)) for angle in angles]


def barrel(
    rings: Sequence[tuple[float, float]],
    colour: Colour,
    *,
    sides: int = 6,
    texture: int = PLAIN,
    top: Colour | None = None,
) -> Solid:
    """A rounded upright solid through rings (height, radius) in metres, lowest first; keep it convex."""
    parts = []
    for n, ((low, wide), (high, narrow)) in enumerate(itertools.pairwise(rings)):
        part = loft(polygon(sides, wide), polygon(sides, narrow), low, high, colour, texture=texture, top=top)
        # only the outermost rings have caps: the last two faces are the lid and the floor
        kept = [*range(sides), *([sides] if n == len(rings) - 2 else []), *([sides + 1] if n == 0 else [])]
        parts.append(Solid(part.corners[kept], part.colours[kept], part.textures[kept], part.glows[kept]))
    return parts[0].joined(*parts[1:])


def sphere_rings(radius_m: float, centre_z_m: float, count: int = 4) -> list[tuple[float, float]]:
    """Rings of a ball for `barrel`."""
    angles = (np.arange(count) + 0.5) / count * np.pi - np.pi / 2
    return [(float(centre_z_m + radius_m * np.sin(a)), float(radius_m * np.cos(a))) for a in angles]


def newell(corners: Array) -> Array:
    """Normal of polygons (..., n, 3), length twice the area (Newell's method); repeated corners do not matter."""
    # corner by corner, so that numpy works on long rows
    rows = np.ascontiguousarray(np.moveaxis(corners, (-1, -2), (0, 1)))
    (x, y, z), (u, v, w) = rows, np.roll(rows, -1, axis=1)
    sums = ((y * w - z * v).sum(axis=0), (z * u - x * w).sum(axis=0), (x * v - y * u).sum(axis=0))
    return np.stack(sums, axis=-1)


def ground(outline: Sequence[tuple[float, float]], colour: Colour, *, texture: int = PLAIN) -> Solid:
    """A patch of the ground, given counter-clockwise from above."""
    flat = np.asarray(outline, float)
    return patches(flat[None], colour, texture)


def patches(outlines: Array, colour: Colour, texture: int = PLAIN) -> Solid:
    """Patches of the ground of one colour (N, n, 2), each counter-clockwise from above."""
    count, sides = outlines.shape[:2]
    corners = np.zeros((count, CORNERS, 3))
    corners[..., :2] = outlines[:, np.minimum(np.arange(CORNERS), sides - 1)]
    colours = np.empty((count, 3))
    colours[:] = colour
    return Solid(corners, colours, np.full(count, texture), np.zeros(count))
