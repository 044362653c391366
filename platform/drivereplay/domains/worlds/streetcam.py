"""A fixed camera over a crossing."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.bodies import vehicle
from drivereplay.domains.worlds.camera import Camera, lens, look_at
from drivereplay.domains.worlds.motion import Path, place
from drivereplay.domains.worlds.people import Crowd, Walker
from drivereplay.domains.worlds.scene import SceneBuilder, Take, picked, still
from drivereplay.domains.worlds.street import HOUSES_M, KERB_M, LANE_M, houses, parked, pavement_people, streets
from drivereplay.domains.worlds.terrain import daylight
from drivereplay.domains.worlds.traffic import Driver, Halt, Traffic
from drivereplay.domains.worlds.world import Shot, World

_CROSSING_M = 45.0
_REACH_M = 95.0


class Streetcam(World):
    """Cars drive through on green, turn, or wait; people cross where cars wait."""

    name = "streetcam"
    summary = "fixed camera over a crossing: cars drive, turn and wait, people cross"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        times = np.arange(shot.frames) / shot.fps
        builder = SceneBuilder()
        main = Path.bends((-30.0, 0.0), 0.0, [(30.0 + _REACH_M, 0.0)])
        streets(builder, main, _CROSSING_M, _REACH_M)
        houses(builder, rng, _CROSSING_M, _REACH_M)
        crowd = Crowd(builder, rng)
        pavement_people(crowd, rng, _CROSSING_M, _REACH_M)
        main_is_green = bool(rng.uniform() < 0.5)
        _crossing_people(crowd, rng, main_is_green)
        standing = parked(builder, rng, _CROSSING_M, 70.0, [])
        driven = []
        for approach in range(4):
            green = (approach % 2 == 0) == main_is_green
            kinds = [vehicle(rng, heavy=0.15) for _ in range(int(rng.integers(2, 4)))]
            lengths = np.array([body.size_m[0] for _, body in kinds])
            ways = _approach(rng, shot, approach, green, lengths)
            driven += [(builder.object(*kind), path, along) for kind, (path, along) in zip(kinds, ways, strict=True)]
        scene = builder.build()
        rotations, translations, present = still(shot.frames, scene)
        for body, (spot, heading) in standing.items():
            place(rotations, translations, body, np.tile(spot, (shot.frames, 1)), np.full(shot.frames, heading))
        for body, path, along in driven:
            place(rotations, translations, body, *path.at(along))
        crowd.pose(rotations, translations, times)
        size = (shot.width, shot.height)
        corner = rng.choice([-1.0, 1.0])
        eye = np.array([_CROSSING_M - rng.uniform(15, 21), corner * rng.uniform(2.0, 4.0), rng.uniform(6.5, 9.5)])
        target = np.array([_CROSSING_M + rng.uniform(-2, 4), -corner * rng.uniform(0, 3.0), 0.0])
        camera = Camera(look_at(eye, target), eye, lens(*size, 64), (size[0] / 2, size[1] / 2), size)
        return Take(scene, rotations, translations, present, (camera,) * shot.frames, daylight(rng))


def _approach(
    rng: np.random.Generator, shot: Shot, approach: int, green: bool, lengths: np.ndarray
) -> list[tuple[Path, np.ndarray]]:
    """Cars of given lengths that come from one of four sides: their ways and the distance (T,) each has gone along."""
    heading = approach * np.pi / 2
    forward, right = np.array([np.cos(heading), np.sin(heading)]), np.array([np.sin(heading), -np.cos(heading)])
    middle = np.array([_CROSSING_M, 0.0])
    start = middle - 50.0 * forward + LANE_M * right
    stop = 50.0 - KERB_M - 4.5
    count = len(lengths)
    # middle to middle, bumper to bumper
    closest = (lengths[1:] + lengths[:-1]) / 2
    # right turns and straight on never cross the way of others that have green
    turning = rng.uniform(size=count) < 0.3
    radius = 6.5
    arc = 50.0 - LANE_M - radius
    ways = [
        Path.bends(tuple(start), heading, [(arc, 0.0), (radius * np.pi / 2, -np.pi / 2), (60.0, 0.0)])
        if turns else Path.bends(tuple(start), heading, [(120.0, 0.0)])
        for turns in turning
    ]  # fmt: skip
    if green:
        along = float(rng.uniform(15, 48)) - np.cumsum(np.concatenate([[0.0], closest + rng.uniform(7, 16, count - 1)]))
        speed = np.full(count, float(rng.uniform(6.0, 9.5)))
        speed[turning] = np.minimum(speed[turning], 6.0)
        events: tuple[Halt, ...] = ()
    else:
        gaps = np.cumsum(np.concatenate([[0.0], closest + rng.uniform(2.2, 3.5, count - 1)]))
        along = stop - lengths[0] / 2 - 0.2 - gaps - float(rng.uniform(0, 9))
        speed = np.where(np.arange(count) == 0, rng.uniform(0, 5), rng.uniform(0, 4, count))
        events = (Halt(0, 0.0, 1e6, stop),)
    traffic = Traffic(
        along, speed, np.where(turning, 6.0, 9.0), np.zeros(count, np.int64), lengths, (0.0,),
        Driver(acceleration=1.8, headway_s=1.0), events=events,
    )  # fmt: skip
    run, *_ = traffic.run(shot.frames, shot.fps)
    return [(ways[n], run[:, n]) for n in range(count)]


def _crossing_people(crowd: Crowd, rng: np.random.Generator, main_is_green: bool) -> None:
    """People who cross the street whose cars wait."""
    for _ in range(int(rng.integers(2, 6))):
        side, way = picked(rng, [-1, 1]), picked(rng, [-1, 1])
        across = side * (KERB_M + 2.2 + float(rng.uniform(-1, 1)))
        begin = -way * float(rng.uniform(-2.0, HOUSES_M))
        pace = way * float(rng.uniform(1.0, 1.7))
        if main_is_green:
            # cross street waits: its people walk along x
            crowd.add(Walker((_CROSSING_M + begin, across), (pace, 0.0)))
        else:
            crowd.add(Walker((_CROSSING_M + across, begin), (0.0, pace)))
