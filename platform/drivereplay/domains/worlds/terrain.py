"""Ground for the worlds that are no streets: textured land and things that stand on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drivereplay.domains.worlds.bodies import PAINTS, paint
from drivereplay.domains.worlds.scene import Look, SceneBuilder, picked
from drivereplay.domains.worlds.solids import (
    Colour,
    Solid,
    barrel,
    box,
    ground,
    loft,
    patches,
    polygon,
    rectangle,
    sphere_rings,
)
from drivereplay.domains.worlds.textures import ASPHALT, CHECKER, CLOTH, GRASS, LEAVES, MOSAIC, PAVING, PLAIN


def land(builder: SceneBuilder, rng: np.random.Generator, side_m: float) -> None:
    """A floor of a random kind."""
    grey, tint = rng.uniform(110, 190), rng.normal(0, 22, 3)
    red, green, blue = (float(c) for c in np.clip(grey + tint, 60, 225))
    colour: Colour = (red, green, blue)
    texture = picked(rng, [GRASS, PAVING, PAVING, ASPHALT, MOSAIC, CHECKER])
    builder.ground(ground(rectangle(side_m, side_m), colour, texture=texture))


def fields(builder: SceneBuilder, rng: np.random.Generator, side_m: float, piece_m: float) -> None:
    """Farm land: patches of many colours with tracks between them."""
    builder.ground(ground(rectangle(6 * side_m, 6 * side_m), (110, 132, 82), texture=GRASS))
    colours: tuple[Colour, ...] = (
        (150, 160, 70), (92, 130, 62), (190, 170, 100), (120, 95, 66), (205, 195, 120), (78, 110, 70),
    )  # fmt: skip
    outlines, tints, textures = [], [], []
    for x in np.arange(-side_m / 2, side_m / 2, piece_m).tolist():
        for y in np.arange(-side_m / 2, side_m / 2, piece_m).tolist():
            tints.append(colours[rng.integers(len(colours))])
            textures.append(picked(rng, [GRASS, ASPHALT, LEAVES, MOSAIC]))
            length, width = piece_m - 5.0, piece_m - float(rng.uniform(4, 10))
            outlines.append(rectangle(length, width, x + piece_m / 2, y + piece_m / 2))
    flat = patches(np.array(outlines), colours[0])
    builder.ground(replace(flat, colours=np.array(tints, float), textures=np.array(textures)))


def hill(rng: np.random.Generator) -> Solid:
    """A broad, low, convex hill."""
    radius, height = float(rng.uniform(14, 30)), float(rng.uniform(5, 14))
    green: Colour = (float(rng.uniform(80, 130)), float(rng.uniform(115, 150)), float(rng.uniform(60, 90)))
    turn = float(rng.uniform(0, 1))
    rings = [(0.0, radius), (0.6 * height, 0.66 * radius), (height, 0.25 * radius)]
    return barrel(rings, green, sides=8, texture=GRASS).moved(heading_rad=turn)


def sculpture(rng: np.random.Generator) -> tuple[Solid, ...]:
    """Something to walk round: stacked, coloured solids."""
    parts: list[Solid] = []
    bottom = 0.0
    for _ in range(int(rng.integers(1, 4))):
        size, height = float(rng.uniform(0.7, 1.5)), float(rng.uniform(0.6, 1.4))
        colour, texture = paint(rng), picked(rng, [PLAIN, CHECKER, CLOTH, MOSAIC])
        second = PAINTS[rng.integers(len(PAINTS))]
        kind = rng.integers(4)
        if kind == 0:
            width = size * float(rng.uniform(0.6, 1.2))
            part = box(size, width, height, colour, bottom_m=bottom, top=second, texture=texture)
        elif kind == 1:
            outline = polygon(6, size * 0.6)
            part = loft(outline, outline, bottom, bottom + height, colour, top=second, texture=texture)
        elif kind == 2:
            low, high = rectangle(size, size), rectangle(size * 0.4, size * 0.4)
            part = loft(low, high, bottom, bottom + height, colour, texture=texture)
        else:
            height = size
            part = barrel(sphere_rings(size / 2, bottom + size / 2, 4), colour, sides=8, texture=texture)
        sides = len(part.colours) - 2
        part.colours[:sides:2] = np.array(second) if rng.uniform() < 0.6 else part.colours[:sides:2]
        parts.append(part.moved(heading_rad=float(rng.uniform(0, np.pi))))
        bottom += height + 0.01
    return tuple(parts)


def daylight(rng: np.random.Generator) -> Look:
    """A clear day with the sun anywhere."""
    turn, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.2)
    sun = (float(np.cos(turn) * np.cos(rise)), float(np.sin(turn) * np.cos(rise)), float(np.sin(rise)))
    return Look(sun=sun, ambient=0.55, sunlight=0.5, haze_m=500.0)
