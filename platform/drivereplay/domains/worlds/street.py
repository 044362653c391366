"""A street with a crossing: surfaces, houses, parked cars, people on the pavements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import LENGTHS_M, building, car, house, paint, pole, sign, tree, van
from drivereplay.domains.worlds.motion import Path
from drivereplay.domains.worlds.people import Crowd, Walker
from drivereplay.domains.worlds.roads import dashes, put, ribbon, zebra
from drivereplay.domains.worlds.scene import SceneBuilder, picked
from drivereplay.domains.worlds.solids import ground, rectangle
from drivereplay.domains.worlds.textures import ASPHALT, GRASS, PAVING, PLAIN

Array = NDArray[np.float64]

LANE_M = 1.75
"""Middle of a lane, from the middle of the street."""
PARKING_M = 4.6
"""Middle of the parked cars."""
KERB_M = 5.8
"""Where the pavement begins."""
HOUSES_M = 9.0
"""Where the houses begin."""


def streets(builder: SceneBuilder, main: Path, crossing: float, reach: float) -> None:
    builder.ground(ground(rectangle(2400, 2400), (112, 128, 92), texture=GRASS))
    cross = Path.bends((crossing, -110.0), np.pi / 2, [(220.0, 0.0)])
    for path in (main, cross):
        builder.ground(ribbon(path, 0.0, 2 * HOUSES_M, (158, 152, 146), PAVING))
    for path in (main, cross):
        builder.ground(ribbon(path, 0.0, 2 * KERB_M + 0.5, (188, 186, 180), PLAIN))
    for path in (main, cross):
        builder.ground(ribbon(path, 0.0, 2 * KERB_M, (104, 104, 108), ASPHALT))
    before, after = 30.0 + crossing - KERB_M - 5.0, 30.0 + crossing + KERB_M + 5.0
    for start, end in ((0.0, before), (after, reach)):
        builder.ground(dashes(main, 0.0, 0.16, 2.5, 6.0, (235, 235, 230), start_m=start, end_m=end))
        for side in (-1, 1):
            builder.ground(ribbon(main, side * 3.5, 0.12, (205, 205, 200), PLAIN, start_m=start, end_m=end))
    for start, end in ((0.0, 99.0), (121.0, 220.0)):
        builder.ground(dashes(cross, 0.0, 0.16, 2.5, 6.0, (235, 235, 230), start_m=start, end_m=end))
    for path, middle in ((main, 30.0 + crossing), (cross, 110.0)):
        for side in (-1, 1):
            builder.ground(zebra(path, middle + side * (KERB_M + 2.2), 2 * KERB_M - 0.8, 3.0))


def houses(builder: SceneBuilder, rng: np.random.Generator, crossing: float, reach: float) -> None:
    along_x = Path.bends((0.0, 0.0), 0.0, [(reach, 0.0)])
    # the street ends at a house, so that nothing behind it has to be drawn
    builder.scenery(*put(building(rng, 9.0, 26.0, 9.6), along_x, reach + 12.0, 0.0))
    along_y = Path.bends((crossing, 0.0), np.pi / 2, [(120.0, 0.0)])
    for side in (-1, 1):
        at = -22.0 + float(rng.uniform(-6, 0))
        while at < reach:
            solids, length, depth = house(rng)
            middle = at + length / 2
            if abs(middle - crossing) > HOUSES_M + length / 2 + 0.5:
                builder.scenery(*put(solids, along_x, middle, side * (HOUSES_M + 0.3 + depth / 2)))
            at += length + picked(rng, [0.4, 0.4, 4.0, 9.0])
        for across in (-1, 1):
            at = 22.0
            while at < 55.0:
                solids, length, depth = house(rng)
                builder.scenery(*put(solids, along_y, across * (at + length / 2), side * (HOUSES_M + 0.3 + depth / 2)))
                at += length + picked(rng, [0.4, 5.0])
        for at in np.arange(-12.0 + float(rng.uniform(0, 9)), reach, 13.0):
            if abs(at - crossing) < HOUSES_M + 2:
                continue
            kind = rng.uniform()
            things = tree(rng) if kind < 0.45 else pole(5.5) if kind < 0.8 else sign(rng)
            builder.scenery(*put(things, along_x, float(at), side * 6.5, np.pi if side > 0 else 0.0))


def pavement_people(crowd: Crowd, rng: np.random.Generator, crossing: float, reach: float) -> None:
    for _ in range(int(rng.integers(4, 9))):
        x, side = float(rng.uniform(4, min(90.0, reach))), picked(rng, [-1.0, 1.0])
        if abs(x - crossing) < HOUSES_M + 4:
            continue
        pace = float(picked(rng, [-1, 1]) * rng.uniform(1.0, 1.7))
        crowd.add(Walker((x, side * float(rng.uniform(7.1, 8.4))), (pace, 0.0)))


def parked(
    builder: SceneBuilder, rng: np.random.Generator, crossing: float, reach: float, busy: list[Array]
) -> dict[int, tuple[tuple[float, float], float]]:
    """Bodies of parked cars with their places; room is left where somebody pulls out."""
    places = {}
    for side in (-1, 1):
        at = float(rng.uniform(-10, 0))
        while at < reach - 20:
            pulled = side < 0 and any(at + 5.2 > way.min() - 6 and at - 5.2 < way.max() for way in busy)
            if rng.uniform() < 0.45 and abs(at - crossing) > KERB_M + 9 and not pulled:
                body = van(paint(rng)) if rng.uniform() < 0.2 else car(paint(rng), length=LENGTHS_M[rng.integers(3)])
                number = builder.object("van" if body.size_m[2] > 2 else "car", body)
                places[number] = ((at, side * PARKING_M), 0.0 if side < 0 else np.pi)
            at += float(rng.uniform(5.8, 7.5))
    return places
