"""The things of the worlds: vehicles, people, trees, buildings. Everything is coloured so that it stands out."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from drivereplay.domains.worlds.solids import (
    Body,
    Colour,
    Face,
    Solid,
    barrel,
    box,
    ground,
    loft,
    polygon,
    rectangle,
    sphere_rings,
)
from drivereplay.domains.worlds.textures import BARK, CLOTH, FACADE, LEAVES, PAVING, PLAIN

GLASS: Colour = (38, 46, 58)
RUBBER: Colour = (28, 28, 30)
SHADE: Colour = (52, 53, 56)
SKIN: Colour = (214, 168, 140)
LENGTHS_M = (4.0, 4.35, 4.7)
PAINTS: tuple[Colour, ...] = (
    (205, 45, 40), (40, 80, 180), (232, 232, 228), (60, 62, 68), (235, 190, 50),
    (45, 130, 80), (170, 175, 182), (225, 115, 40), (120, 40, 110), (30, 150, 170),
)  # fmt: skip


def paint(rng: np.random.Generator) -> Colour:
    """A colour for something that moves. There are thirty, so that bodies can be kept and used again."""
    r, g, b = PAINTS[rng.integers(len(PAINTS))]
    shade = (0.82, 1.0, 1.08)[rng.integers(3)]
    return min(r * shade, 250.0), min(g * shade, 250.0), min(b * shade, 250.0)


def side_patch(x: float, z: float, length: float, height: float, y: float, colour: Colour, glow: float = 0.0) -> Face:
    """A rectangle on a left (y > 0) or right (y < 0) side."""
    a, b = (x + length / 2, x - length / 2) if y > 0 else (x - length / 2, x + length / 2)
    return Face(np.array([[a, y, z], [b, y, z], [b, y, z + height], [a, y, z + height]]), colour, PLAIN, glow)


def end_patch(y: float, z: float, width: float, height: float, x: float, colour: Colour, glow: float = 0.0) -> Face:
    """A rectangle on a front (x > 0) or rear (x < 0) end; its middle is at y."""
    a, b = (y - width / 2, y + width / 2) if x > 0 else (y + width / 2, y - width / 2)
    return Face(np.array([[x, a, z], [x, b, z], [x, b, z + height], [x, a, z + height]]), colour, PLAIN, glow)


def _wheels(length: float, width: float, places: tuple[float, ...], radius: float) -> list[Face]:
    faces = []
    for x in places:
        for y in (-width / 2 - 0.01, width / 2 + 0.01):
            rim = np.array(polygon(8, radius, np.pi / 8))
            flat = np.column_stack([x + rim[:, 0], np.full(8, y), radius + rim[:, 1]])
            faces.append(Face(flat if y < 0 else flat[::-1].copy(), RUBBER))
            hub = side_patch(x, radius * 0.6, radius * 0.8, radius * 0.8, y, (150, 150, 155))
            faces.append(hub)
    return faces


def _lights(length: float, width: float, z: float, glow: float) -> list[Face]:
    faces = []
    for y in (-width * 0.36, width * 0.36):
        faces.append(end_patch(y, z, width * 0.2, 0.2, -length / 2 - 0.01, (235, 30, 25), max(0.75, 0.9 * glow)))
        front = length / 2 + 0.01
        faces.append(end_patch(y, z - 0.08, width * 0.2, 0.18, front, (255, 248, 215), max(0.9, 1.4 * glow)))
    return faces


def _cast(length: float, width: float) -> tuple[Solid, ...]:
    return (ground(rectangle(length * 1.04, width * 1.16, -0.05, -0.12), SHADE),)


@lru_cache(maxsize=256)
def car(colour: Colour, *, length: float = 4.4, glow: float = 0.0) -> Body:
    """A saloon; `glow` 1 turns its lamps on."""
    width, waist, roof = 1.8, 0.86, 1.46
    hull = box(length, width, waist - 0.2, colour, bottom_m=0.2)
    rear = -length / 2 - 0.01
    hull = hull.with_decals(
        [
            end_patch(0.0, 0.42, 0.55, 0.16, rear, (240, 240, 225)),
            end_patch(0.0, 0.2, width, 0.14, rear, (45, 45, 48)),
            end_patch(0.0, 0.36, width * 0.5, 0.2, -rear, (40, 40, 44)),
            *_lights(length, width, 0.6, glow),
            *_wheels(length, width, (-0.31 * length, 0.31 * length), 0.33),
        ]
    )
    cabin = loft(
        rectangle(length * 0.62, width * 0.94, -0.06 * length), rectangle(length * 0.36, width * 0.78, -0.08 * length),
        waist, roof, GLASS, top=colour,
    )  # fmt: skip
    return Body((hull, cabin), (length, width, roof), shadow=_cast(length, width))


@lru_cache(maxsize=256)
def van(colour: Colour, *, glow: float = 0.0) -> Body:
    """A delivery van."""
    length, width, height = 5.4, 2.0, 2.3
    hull = box(length, width, height - 0.2, colour, bottom_m=0.2)
    hull = hull.with_decals(
        [
            end_patch(0.0, 1.3, width * 0.8, 0.6, -length / 2 - 0.01, GLASS),
            end_patch(0.0, 1.25, width * 0.9, 0.75, length / 2 + 0.01, GLASS),
            end_patch(0.0, 0.45, 0.55, 0.16, -length / 2 - 0.01, (240, 240, 225)),
            side_patch(1.7, 1.3, 1.2, 0.65, width / 2 + 0.01, GLASS),
            side_patch(1.7, 1.3, 1.2, 0.65, -width / 2 - 0.01, GLASS),
            side_patch(-0.9, 1.0, 2.2, 0.25, width / 2 + 0.01, (245, 245, 245)),
            side_patch(-0.9, 1.0, 2.2, 0.25, -width / 2 - 0.01, (245, 245, 245)),
            *_lights(length, width, 0.75, glow),
            *_wheels(length, width, (-0.32 * length, 0.32 * length), 0.36),
        ]
    )
    return Body((hull,), (length, width, height), shadow=_cast(length, width))


@lru_cache(maxsize=256)
def truck(colour: Colour, *, glow: float = 0.0) -> Body:
    """A lorry: a tractor and a box behind it."""
    length, width, height = 11.0, 2.5, 3.5
    load = box(8.4, width, height - 0.6, (225, 225, 220), bottom_m=0.6).moved(-1.3)
    x = -1.3 - 4.2 - 0.01
    load = load.with_decals(
        [
            end_patch(0.0, 0.9, 0.08, 2.4, x, (120, 120, 125)),
            end_patch(0.0, 0.6, width, 0.28, x, colour),
            side_patch(-1.3, 1.9, 6.0, 0.7, width / 2 + 0.01, colour),
            side_patch(-1.3, 1.9, 6.0, 0.7, -width / 2 - 0.01, colour),
            *[end_patch(y, 0.64, 0.4, 0.2, x - 0.01, (235, 30, 25), max(0.75, 0.9 * glow)) for y in (-0.95, 0.95)],
        ]
    )
    frame = box(8.4, width * 0.9, 0.4, (45, 45, 48), bottom_m=0.2).moved(-1.3)
    frame = frame.with_decals(_wheels(length, width * 0.9, (-4.4, -3.2, 1.2), 0.5))
    cab = box(2.2, width, 2.5, colour, bottom_m=0.3).moved(4.4)
    cab = cab.with_decals(
        [
            end_patch(0.0, 1.6, width * 0.88, 0.85, 5.51, GLASS),
            side_patch(4.6, 1.6, 1.1, 0.75, width / 2 + 0.01, GLASS),
            side_patch(4.6, 1.6, 1.1, 0.75, -width / 2 - 0.01, GLASS),
            *[end_patch(y, 0.7, 0.4, 0.25, 5.51, (255, 248, 215), max(0.9, 1.4 * glow)) for y in (-0.9, 0.9)],
            *_wheels(length, width, (4.4,), 0.5),
        ]
    )
    return Body((load, frame, cab), (length, width, height), shadow=_cast(length, width))


@lru_cache(maxsize=256)
def bus(colour: Colour, *, glow: float = 0.0) -> Body:
    """A city bus."""
    length, width, height = 10.5, 2.5, 3.0
    panes = [
        side_patch(float(x), 1.5, 1.4, 0.95, y, GLASS)
        for x in np.arange(-4.2, 4.4, 1.7)
        for y in (width / 2 + 0.01, -width / 2 - 0.01)
    ]
    hull = box(length, width, height - 0.25, colour, bottom_m=0.25, top=(230, 230, 230)).with_decals(
        [
            *panes,
            end_patch(0.0, 1.4, width * 0.86, 1.2, length / 2 + 0.01, GLASS),
            end_patch(0.0, 1.7, width * 0.8, 0.8, -length / 2 - 0.01, GLASS),
            *_lights(length, width, 0.8, glow),
            *_wheels(length, width, (-3.2, 3.4), 0.48),
        ]
    )
    return Body((hull,), (length, width, height), shadow=_cast(length, width))


def vehicle(rng: np.random.Generator, *, glow: float = 0.0, heavy: float = 0.2) -> tuple[str, Body]:
    """A random vehicle with its class; `heavy` is the share of lorries and buses."""
    kind = rng.uniform()
    if kind < heavy / 2:
        return "truck", truck(paint(rng), glow=glow)
    if kind < heavy:
        return "bus", bus(paint(rng), glow=glow)
    if kind < heavy + 0.15:
        return "van", van(paint(rng), glow=glow)
    return "car", car(paint(rng), length=LENGTHS_M[rng.integers(3)], glow=glow)


HIP_M = 0.86
_TROUSERS: tuple[Colour, ...] = ((45, 50, 75), (70, 60, 50), (40, 40, 42))


def pedestrian(rng: np.random.Generator) -> Body:
    """A person whose legs are limbs; each leg's origin is its hip (see `motion.walk`)."""
    return _person((1.6, 1.7, 1.78, 1.86)[rng.integers(4)], paint(rng), _TROUSERS[rng.integers(3)])


@lru_cache(maxsize=512)
def _person(height: float, shirt: Colour, trousers: Colour) -> Body:
    torso = loft(rectangle(0.24, 0.36), rectangle(0.28, 0.48), HIP_M - 0.04, height - 0.3, shirt, texture=CLOTH)
    head = barrel(sphere_rings(0.14, height - 0.14, 3), SKIN, sides=6, top=(60, 42, 30))
    leg = box(0.17, 0.17, HIP_M, trousers, bottom_m=-HIP_M)
    limbs = (Body((leg.moved(y=0.1),)), Body((leg.moved(y=-0.1),)))
    return Body((torso, head), (1.06, 0.5, height), limbs, (ground(polygon(6, 0.32), SHADE),))


def tree(rng: np.random.Generator) -> tuple[Solid, ...]:
    """A broad-leaved tree or a conifer."""
    return _tree(int(rng.integers(24)))


@cache
def _tree(kind: int) -> tuple[Solid, ...]:
    rng = np.random.default_rng(kind)
    green: Colour = (float(rng.uniform(45, 85)), float(rng.uniform(105, 145)), float(rng.uniform(40, 65)))
    broad = kind % 5 < 3
    trunk = box(0.35, 0.35, 2.4 if broad else 1.2, (105, 78, 52), texture=BARK)
    if broad:
        radius = float(rng.uniform(1.4, 2.3))
        return (trunk, barrel(sphere_rings(radius, 2.2 + radius * 0.9, 3), green, texture=LEAVES))
    height = float(rng.uniform(5.0, 9.0))
    return (trunk, barrel([(1.2, height * 0.24), (height, 0.05)], green, texture=LEAVES))


@lru_cache(maxsize=16)
def pole(height: float = 6.0, *, lamp: float = 0.0, arm: float = 1.2) -> tuple[Solid, ...]:
    """A street lamp whose arm points along y; `lamp` is its glow."""
    post = box(0.16, 0.16, height, (105, 108, 112))
    head = box(0.35, arm, 0.18, (225, 222, 205) if not lamp else (255, 225, 160), bottom_m=height, glow=lamp)
    return (post, head.moved(y=arm / 2))


def building(
    rng: np.random.Generator, length: float, depth: float, height: float, *, lit: float = 0.0
) -> tuple[Solid, ...]:
    """A house with windows; low ones have a gabled roof. `lit` is the share of windows with light behind them."""
    base = ((196, 120, 92), (214, 200, 170), (170, 178, 190), (205, 165, 110), (150, 110, 100), (225, 220, 212))
    mixed = np.clip(np.array(base[rng.integers(len(base))]) + rng.normal(0, 10, 3), 40, 245)
    colour: Colour = (float(mixed[0]), float(mixed[1]), float(mixed[2]))
    walls = box(length, depth, height, colour, texture=FACADE, top=(125, 120, 118), top_texture=PAVING)
    if lit:
        panes = []
        for z in np.arange(0.8, height - 1.6, 3.2):
            for x in np.arange(-length / 2 + 1.6, length / 2 - 1.0, 3.2):
                for y in (-depth / 2 - 0.01, depth / 2 + 0.01):
                    if rng.uniform() < lit:
                        panes.append(side_patch(float(x), float(z), 1.5, 1.5, y, (255, 205, 120), 0.8))
        walls = walls.with_decals(panes)
    if height > 8:
        return (walls,)
    a, b, ridge = length / 2 + 0.3, depth / 2 + 0.3, height + 0.42 * depth
    eaves = np.array([[-a, -b, height], [a, -b, height], [a, b, height], [-a, b, height]])
    west, east = np.array([-a, 0.0, ridge]), np.array([a, 0.0, ridge])
    red: Colour = ((150, 62, 48), (96, 66, 58), (92, 92, 100))[int(rng.integers(3))]
    roof = Solid.of(
        [
            Face(np.stack([eaves[0], eaves[1], east, west]), red, LEAVES),
            Face(np.stack([eaves[2], eaves[3], west, east]), red, LEAVES),
            Face(np.stack([eaves[1], eaves[2], east]), colour),
            Face(np.stack([eaves[3], eaves[0], west]), colour),
            Face(eaves[::-1].copy(), red),
        ]
    )
    return (walls, roof)


def house(rng: np.random.Generator) -> tuple[tuple[Solid, ...], float, float]:
    """A house of a street with its length and depth."""
    return _house(int(rng.integers(80)))


@cache
def _house(kind: int) -> tuple[tuple[Solid, ...], float, float]:
    rng = np.random.default_rng(kind)
    length, depth = float(rng.uniform(8, 17)), float(rng.uniform(8, 12))
    return building(rng, length, depth, (3.2, 6.4, 6.4, 9.6, 12.8)[kind % 5]), length, depth


def sign(rng: np.random.Generator, height: float = 2.2) -> tuple[Solid, ...]:
    """A road sign that faces −x."""
    return _sign(int(rng.integers(3)), height)


@cache
def _sign(kind: int, height: float) -> tuple[Solid, ...]:
    colour: Colour = ((35, 80, 170), (235, 235, 235), (240, 200, 40))[kind]
    plate = box(0.06, 0.7, 0.7, colour, bottom_m=height)
    edge: Colour = (200, 40, 35) if colour[0] > 100 else (240, 240, 240)
    plate = plate.with_decals([end_patch(0.0, height + 0.2, 0.4, 0.3, -0.04, edge)])
    return (box(0.08, 0.08, height, (120, 122, 125)), plate)
