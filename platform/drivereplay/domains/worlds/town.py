"""A town street seen from a car."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import car, paint, vehicle
from drivereplay.domains.worlds.camera import lens
from drivereplay.domains.worlds.motion import Path, dash_cameras, place
from drivereplay.domains.worlds.people import Crowd, Walker
from drivereplay.domains.worlds.scene import Look, SceneBuilder, Take, picked, still
from drivereplay.domains.worlds.street import (
    KERB_M,
    LANE_M,
    PARKING_M,
    houses,
    parked,
    pavement_people,
    streets,
)
from drivereplay.domains.worlds.traffic import Change, Driver, Halt, Push, Traffic
from drivereplay.domains.worlds.world import Shot, World

Array = NDArray[np.float64]


@dataclass
class Plan:
    """What happens in a clip. Distances count from where the camera's car begins, along the main street.

    Attributes:
        crossing_m: Middle of the cross street.
        turn: −1 the car turns right there, +1 left, 0 it goes straight on.
        along_m: Vehicles on our lane, ours first.
        speeds: Their speeds, m/s.
        lanes: 0 is the parking lane, 1 the driving lane.
        events: Of the traffic.
        walkers: People besides those on the pavements.
        cross_cars: (start y, speed) of cars on the cross street; positive speed goes to the left.
    """

    crossing_m: float
    turn: int
    along_m: list[float]
    speeds: list[float]
    lanes: list[int]
    events: list[Push | Change | Halt] = field(default_factory=list)
    walkers: list[Walker] = field(default_factory=list)
    cross_cars: list[tuple[float, float]] = field(default_factory=list)


class Town(World):
    """Houses, parked cars, people. Regular: straight on. Rare: turns, crossings, braking, cars that pull out."""

    name = "town"
    summary = "slow street with houses, parked cars and people; rare: turns, crossings, braking, cars pulling out"
    driving = True

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        seconds = shot.frames / shot.fps
        times = np.arange(shot.frames) / shot.fps
        plan = _rare(rng, seconds) if shot.subset == "rare-motion" else _regular(rng, seconds)
        kinds = [("car", car(paint(rng)))] + [vehicle(rng, heavy=0.12 * lane) for lane in plan.lanes[1:]]
        traffic = Traffic(
            np.array(plan.along_m), np.array(plan.speeds), np.maximum(plan.speeds, 9.0), np.array(plan.lanes),
            np.array([body.size_m[0] for _, body in kinds]), (-PARKING_M, -LANE_M),
            Driver(acceleration=1.8, headway_s=1.1, change_s=2.2), events=tuple(plan.events),
        )  # fmt: skip
        traffic.wish[0] = plan.speeds[0]
        along, left, speed, acceleration = traffic.run(shot.frames, shot.fps)

        reach = max(float(along[-1, 0]), plan.crossing_m + 30.0) + 65.0
        main = Path.bends((-30.0, 0.0), 0.0, [(30.0 + reach, 0.0)])
        builder = SceneBuilder()
        streets(builder, main, plan.crossing_m, reach)
        houses(builder, rng, plan.crossing_m, reach)
        crowd = Crowd(builder, rng)
        for walker in plan.walkers:
            crowd.add(walker)
        pavement_people(crowd, rng, plan.crossing_m, reach)
        busy = [along[:, n] for n, lane in enumerate(plan.lanes) if lane == 0]
        standing = parked(builder, rng, plan.crossing_m, reach, busy)
        others = [builder.object(name, body) for name, body in kinds[1:]]
        oncoming = _oncoming(rng, times, reach)
        against = [builder.object(*vehicle(rng, heavy=0.12)) for _ in range(oncoming.shape[1])]
        across = [builder.object(*vehicle(rng, heavy=0.1)) for _ in plan.cross_cars]
        scene = builder.build()

        rotations, translations, present = still(shot.frames, scene)
        drift = np.gradient(left, 1 / shot.fps, axis=0) if shot.frames > 1 else np.zeros_like(left)
        slant = np.arctan2(drift, np.maximum(speed, 2.0))
        for n, body in enumerate(others, start=1):
            place(rotations, translations, body, np.stack([along[:, n], left[:, n]], axis=1), slant[:, n])
        for body, (spot, heading) in standing.items():
            place(rotations, translations, body, np.tile(spot, (shot.frames, 1)), np.full(shot.frames, heading))
        for n, body in enumerate(against):
            spots = np.stack([oncoming[:, n], np.full(shot.frames, LANE_M)], axis=1)
            place(rotations, translations, body, spots, np.full(shot.frames, np.pi))
        for body, (start, pace) in zip(across, plan.cross_cars, strict=True):
            # right-hand traffic: who goes to the left (+y) keeps to the far side (+x)
            x = np.full(shot.frames, plan.crossing_m + np.sign(pace) * LANE_M)
            spots = np.stack([x, start + pace * times], axis=1)
            place(rotations, translations, body, spots, np.full(shot.frames, np.sign(pace) * np.pi / 2))
        crowd.pose(rotations, translations, times)

        own, facing = _own_path(plan).at(along[:, 0] + 30.0)
        size = (shot.width, shot.height)
        cameras = dash_cameras(own, facing, acceleration[:, 0], shot.fps, size, lens(*size, 72), down_rad=0.03)
        return Take(scene, rotations, translations, present, cameras, _weather(rng))


def _regular(rng: np.random.Generator, seconds: float) -> Plan:
    speed = float(rng.uniform(8.5, 13.0))
    ahead = float(rng.uniform(14, 40))
    along, speeds = [0.0, ahead, ahead + float(rng.uniform(15, 30))], [speed] * 3
    # a cross street that is passed now and then, never turned into
    crossing = float(rng.uniform(30, 110)) + speed * seconds * float(rng.uniform(0, 0.6))
    waiting = [(-9.5, 0.0)] if rng.uniform() < 0.4 else []
    return Plan(crossing, 0, along, speeds, [1, 1, 1], cross_cars=waiting)


def _rare(rng: np.random.Generator, seconds: float) -> Plan:
    """One rare thing, in the first part of the clip so that it can be seen."""
    kind = rng.choice(["turn", "person", "braking", "pull-out", "cross-car"])
    start = float(rng.uniform(0.0, seconds / 4))
    speed = float(rng.uniform(8.0, 11.5))
    far = float(rng.uniform(70, 120))
    if kind == "turn":
        pace, turn = float(rng.uniform(5.5, 7.5)), picked(rng, [-1, 1])
        return Plan(pace * start + 2.0 + _radius(turn) - turn * LANE_M, turn, [0.0], [pace], [1])
    if kind == "person":
        where, pace = float(rng.uniform(15, 22)), float(rng.uniform(1.4, 2.4))
        side = picked(rng, [-1.0, 1.0])
        edge = -KERB_M if side > 0 else 3.0
        people = range(int(rng.integers(1, 3)))
        walkers = [Walker((where + 1.5 * n, edge - side * n), (0.1, side * pace)) for n in people]
        return Plan(far, 0, [0.0], [speed], [1], [Halt(0, 0.0, 60.0, where - 2.5)], walkers)
    if kind == "braking":
        gap = float(rng.uniform(11, 16))
        push = Push(1, start, start + 5.0, -float(rng.uniform(5.0, 7.0)))
        return Plan(far, 0, [0.0, gap], [speed, speed], [1, 1], [push])
    if kind == "pull-out":
        where = float(rng.uniform(13, 20))
        # it rolls already: a car cannot move sideways from a standstill
        waits, leaves = Push(1, 0.0, start, 0.0), Change(1, start, 1, float(np.clip(seconds, 2.0, 2.6)))
        return Plan(far, 0, [0.0, where], [speed, 2.5], [1, 0], [waits, leaves])
    side = picked(rng, [-1.0, 1.0])
    pace = float(rng.uniform(6.5, 9.5))
    crossing = float(rng.uniform(19, 27))
    cars = [(-side * (5.0 + float(rng.uniform(2, 6)) + 9.0 * n), side * pace) for n in range(int(rng.integers(1, 3)))]
    return Plan(crossing, 0, [0.0], [speed], [1], [Halt(0, 0.0, 60.0, crossing - 5.0)], cross_cars=cars)


def _radius(turn: int) -> float:
    return 6.5 if turn < 0 else 9.0


def _own_path(plan: Plan) -> Path:
    """The camera's way, from 30 m behind the start."""
    if plan.turn == 0:
        return Path.bends((-30.0, -LANE_M), 0.0, [(2000.0, 0.0)])
    radius = _radius(plan.turn)
    # the arc ends on the right lane of the cross street
    straight = plan.crossing_m + plan.turn * LANE_M - radius
    arc = (radius * np.pi / 2, plan.turn * np.pi / 2)
    return Path.bends((-30.0, -LANE_M), 0.0, [(30.0 + straight, 0.0), arc, (300.0, 0.0)])


def _oncoming(rng: np.random.Generator, times: Array, reach: float) -> Array:
    """x (T, M) of cars that come towards us."""
    start = []
    at = float(rng.uniform(12, 50))
    while at < reach:
        start.append(at)
        at += float(rng.uniform(16, 60))
    speed = float(rng.uniform(8, 12))
    places: Array = np.array(start)[None] - speed * times[:, None]
    return places


def _weather(rng: np.random.Generator) -> Look:
    turn = rng.uniform(0, 2 * np.pi)
    sun = (0.55 * float(np.cos(turn)), 0.55 * float(np.sin(turn)), 0.83)
    if rng.uniform() < 0.65:
        return Look(sun=sun, ambient=0.6, sunlight=0.45)
    return Look((192, 196, 202), (206, 208, 210), sun, 0.8, 0.18, 200.0)
