"""A motorway seen from a car."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import building, car, paint, sign, tree, vehicle
from drivereplay.domains.worlds.camera import lens
from drivereplay.domains.worlds.motion import Path, dash_cameras, place
from drivereplay.domains.worlds.roads import dashes, put, ribbon, strip_of_solids
from drivereplay.domains.worlds.scene import Look, SceneBuilder, Take, still
from drivereplay.domains.worlds.solids import Solid, box, ground, rectangle
from drivereplay.domains.worlds.textures import ASPHALT, BARK, GRASS, PLAIN
from drivereplay.domains.worlds.traffic import Change, Driver, Push, Traffic
from drivereplay.domains.worlds.world import Shot, World

LANES_M = (-3.7, 0.0, 3.7)
"""Centres of the lanes of our side, from right to left of its axis."""
_MEDIAN_M = 7.2
_ONCOMING_M = 14.0


class Highway(World):
    """Three lanes a side. Regular: steady traffic. Rare: cut-ins, hard braking, swerving, being overtaken."""

    name = "highway"
    summary = "fast, straight, regular motorway traffic; rare: cut-ins, hard braking, overtaking, lane changes"
    driving = True

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        seconds = shot.frames / shot.fps
        traffic = _traffic(rng, seconds, shot.subset == "rare-motion")
        count = len(traffic.lane)
        kinds = [("car", car(paint(rng)))] + [vehicle(rng, heavy=0.3) for _ in range(count - 1)]
        traffic.length_m = np.array([body.size_m[0] for _, body in kinds])
        along, left, speed, acceleration = traffic.run(shot.frames, shot.fps)

        reach = float(along[-1, 0]) + 230.0
        bend = rng.normal(0, 0.04)
        path = Path.bends((-160.0, 0.0), 0.0, [(160.0 + 40.0, 0.0), (reach, bend)])
        oncoming = _oncoming(rng, shot, reach)
        builder = SceneBuilder()
        _land(builder, rng, path, reach + 160.0)
        bodies = [builder.object(name, body) for name, body in kinds[1:]]
        others = [vehicle(rng, heavy=0.3) for _ in range(oncoming.shape[1])]
        against = [builder.object(name, body) for name, body in others]
        scene = builder.build()

        rotations, translations, present = still(shot.frames, scene)
        spots, heading = path.at(along + 160.0, left)
        drift = np.gradient(left, 1 / shot.fps, axis=0) if shot.frames > 1 else np.zeros_like(left)
        heading = heading + np.arctan2(drift, np.maximum(speed, 3.0))
        for n, body in enumerate(bodies, start=1):
            place(rotations, translations, body, spots[:, n], heading[:, n])
        lanes = _ONCOMING_M + rng.integers(0, 3, len(against)) * 3.7
        for n, body in enumerate(against):
            at, way = path.at(oncoming[:, n] + 160.0, lanes[n])
            place(rotations, translations, body, at, way + np.pi)
        size = (shot.width, shot.height)
        cameras = dash_cameras(
            spots[:, 0], heading[:, 0], acceleration[:, 0], shot.fps, size, lens(*size, 62), down_rad=0.06
        )
        return Take(scene, rotations, translations, present, cameras, _weather(rng))


def _traffic(rng: np.random.Generator, seconds: float, rare: bool) -> Traffic:
    """Vehicle 0 is the camera's."""
    own_lane, speed = int(rng.integers(0, 3)), float(rng.uniform(25, 33))
    along, lane, wish = [0.0], [own_lane], [speed]
    for number in range(3):
        place_m = float(rng.uniform(-60, -30))
        while place_m < 130:
            gap = float(rng.uniform(22, 60))
            if not (number == own_lane and abs(place_m) < 22):
                along.append(place_m)
                lane.append(number)
                wish.append(speed + (number - own_lane) * 2.0 + float(rng.normal(0, 1.0)))
            place_m += gap
    count = len(along)
    traffic = Traffic(
        np.array(along), np.array(wish), np.array(wish), np.array(lane), np.full(count, 4.4), LANES_M,
        Driver(change_s=float(rng.uniform(2.6, 3.6))), changes_lanes=rare,
    )  # fmt: skip
    if rare:
        events = _rare(rng, traffic, own_lane, seconds)
        kept = _spaced(traffic, [event.vehicle for event in events], own_lane)
        renumbered = {vehicle: n for n, vehicle in enumerate(kept.tolist())}
        traffic = Traffic(
            traffic.along_m[kept], traffic.speed[kept], traffic.wish[kept], traffic.lane[kept],
            traffic.length_m[kept], LANES_M, traffic.driver, changes_lanes=True,
            events=tuple(replace(event, vehicle=renumbered[event.vehicle]) for event in events),
        )  # fmt: skip
    return traffic


def _spaced(traffic: Traffic, actors: list[int], own_lane: int) -> NDArray[np.int64]:
    """Numbers of vehicles that leave each other room, the camera's car and who does something rare first."""
    count = len(traffic.lane)
    # who cuts in needs room in our lane as well, and so do we in every lane
    lanes = {n: {int(traffic.lane[n])} | ({own_lane} if n in actors else set()) for n in range(count)}
    lanes[0] = {0, 1, 2} if 0 in actors else lanes[0]
    kept: list[int] = []
    for n in (0, *actors, *range(count)):
        near = [m for m in kept if lanes[n] & lanes[m] and abs(traffic.along_m[n] - traffic.along_m[m]) < 15.0]
        if n not in kept and (n in actors or n == 0 or not near):
            kept.append(n)
    return np.array(sorted(kept))


def _rare(rng: np.random.Generator, traffic: Traffic, own_lane: int, seconds: float) -> tuple[Push | Change, ...]:
    """One rare thing; it begins in the first third of the clip so that it can be seen."""
    start = float(rng.uniform(0.0, seconds / 3))
    quick = float(np.clip(0.8 * seconds, 1.4, 2.6))
    kind = rng.choice(["cut-in", "braking", "swerve", "overtaken"])
    same = np.flatnonzero((traffic.lane == own_lane) & (traffic.along_m > 0))
    beside = [lane for lane in (own_lane - 1, own_lane + 1) if 0 <= lane < 3]
    lane = int(rng.choice(beside))
    if kind == "braking" and len(same):
        leader = int(same[traffic.along_m[same].argmin()])
        traffic.along_m[leader] = rng.uniform(20, 30)
        return (Push(leader, start, start + 4.0, -float(rng.uniform(5.5, 7.5))),)
    if kind == "swerve":
        near = np.flatnonzero((traffic.lane == lane) & (np.abs(traffic.along_m) < 25))
        traffic.along_m[near] += np.where(traffic.along_m[near] > 0, 28.0, -28.0)
        return (Change(0, start, lane, quick),)
    if kind == "overtaken":
        clear = np.flatnonzero((traffic.lane == lane) & (traffic.along_m > -30) & (traffic.along_m < 90))
        traffic.along_m[clear] += 100.0
        last = int(np.argmax(np.where(traffic.lane == lane, -np.abs(traffic.along_m + 6), -np.inf)))
        traffic.along_m[last], traffic.speed[last] = rng.uniform(-8, 0), traffic.speed[0] + rng.uniform(8, 13)
        traffic.wish[last] = traffic.speed[last]
        return (Change(last, start + 0.8, own_lane, quick),) if rng.uniform() < 0.5 else ()
    cutter = int(np.argmin(np.where(traffic.lane == lane, np.abs(traffic.along_m - 12), np.inf)))
    traffic.along_m[cutter] = rng.uniform(9, 15)
    traffic.speed[cutter] = traffic.speed[0] + rng.uniform(-3, 1)
    traffic.along_m[same] += 12.0
    return (Change(cutter, start, own_lane, quick),)


def _oncoming(rng: np.random.Generator, shot: Shot, reach: float) -> NDArray[np.float64]:
    """Distances along (T, M) of vehicles on the other side."""
    start = np.arange(10.0, reach, 45.0) + rng.uniform(-15, 15, len(np.arange(10.0, reach, 45.0)))
    speed = rng.uniform(24, 34, len(start))
    places: NDArray[np.float64] = start - speed * (np.arange(shot.frames) / shot.fps)[:, None]
    return places


def _land(builder: SceneBuilder, rng: np.random.Generator, path: Path, reach: float) -> None:
    green = np.clip(np.array([96.0, 132.0, 70.0]) + rng.normal(0, 10, 3), 40, 180)
    builder.ground(ground(rectangle(2400, 2400), (float(green[0]), float(green[1]), float(green[2])), texture=GRASS))
    grey = float(rng.uniform(96, 122))
    for middle in (0.0, _ONCOMING_M + 3.7):
        builder.ground(ribbon(path, middle, 12.4, (grey, grey, grey + 4), ASPHALT))
        for edge in (-5.75, 5.75):
            builder.ground(ribbon(path, middle + edge, 0.2, (232, 232, 228), PLAIN))
        for line in (-1.85, 1.85):
            builder.ground(dashes(path, middle + line, 0.18, 6.0, 12.0, (236, 236, 232)))
    builder.scenery(*strip_of_solids(path, _MEDIAN_M, 24.0, 0.3, 0.8, (178, 178, 174), BARK))
    for at in np.arange(0.0, reach, 19.0):
        for side in (-1, 1):
            left = side * rng.uniform(16, 55) + (side > 0) * 14.0
            if rng.uniform() < 0.8:
                builder.scenery(*put(tree(rng), path, at + rng.uniform(-5, 5), left))
    mast = (box(0.22, 0.22, 9.0, (120, 122, 126)),)
    for at in np.arange(20.0, reach, 52.0):
        builder.scenery(*put(_gantry(rng) if rng.uniform() < 0.18 else sign(rng), path, at, -8.2))
        builder.scenery(*put(mast, path, at + 20, -8.0))
    for at in np.arange(rng.uniform(0, 60), reach, 90.0):
        side = 1 if rng.uniform() < 0.5 else -1
        house = building(rng, float(rng.uniform(12, 26)), float(rng.uniform(10, 16)), float(rng.uniform(5, 12)))
        builder.scenery(*put(house, path, at, side * float(rng.uniform(60, 85))))


def _gantry(rng: np.random.Generator) -> tuple[Solid, ...]:
    """A sign bridge over our lanes."""
    post = box(0.3, 0.3, 6.2, (130, 132, 136))
    board = box(0.3, 14.6, 1.6, (30, 80, 160) if rng.uniform() < 0.5 else (25, 110, 70), bottom_m=6.2)
    return (post, post.moved(y=14.4), board.moved(y=7.2))


def _weather(rng: np.random.Generator) -> Look:
    turn = rng.uniform(0, 2 * np.pi)
    sun = (0.6 * float(np.cos(turn)), 0.6 * float(np.sin(turn)), 0.8)
    if rng.uniform() < 0.6:
        return Look(sun=sun)
    return Look((188, 194, 202), (208, 210, 212), sun, 0.78, 0.18, 190.0, shadow=0.8)
