"""A rainy night on an arterial road, seen from a car."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import building, car, paint, pole, tree, vehicle
from drivereplay.domains.worlds.camera import lens
from drivereplay.domains.worlds.motion import Path, dash_cameras, place, smooth
from drivereplay.domains.worlds.people import Crowd, Walker
from drivereplay.domains.worlds.roads import dashes, put, ribbon
from drivereplay.domains.worlds.scene import Look, SceneBuilder, Take, picked, still
from drivereplay.domains.worlds.solids import ground, rectangle
from drivereplay.domains.worlds.textures import ASPHALT, GRASS, PLAIN
from drivereplay.domains.worlds.traffic import Change, Driver, Halt, Push, Traffic
from drivereplay.domains.worlds.world import Shot, World

Array = NDArray[np.float64]

LANES_M = (-5.3, -1.8)
"""Our lanes, from right to left of the road's axis; the other side has the same."""
_BEHIND_M = 60.0

LOOK = Look(
    sky=(10.0, 12.0, 20.0), haze=(24.0, 26.0, 33.0), sun=(0.2, 0.3, 0.93), ambient=0.17, sunlight=0.04,
    haze_m=95.0, headlight=0.9, rain=34,
)  # fmt: skip


@dataclass
class Plan:
    """What happens in a clip; distances count from where the camera's car begins."""

    bend_rad_per_m: float
    along_m: list[float]
    speeds: list[float]
    lanes: list[int]
    events: list[Push | Change | Halt] = field(default_factory=list)
    walker: tuple[float, float] | None = None
    """(distance along, pace) of somebody who crosses from the right."""
    intruder_m: float | None = None
    """Where a car that comes towards us is when it begins to leave its lane for ours."""


class NightRain(World):
    """Dark, wet, headlights. Regular: steady driving. Rare: cut-ins, braking, people on the road, bends."""

    name = "night-rain"
    summary = "arterial road on a rainy night, low contrast; rare: cut-ins, braking, people crossing, sharp bends"
    driving = True

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        seconds = shot.frames / shot.fps
        times = np.arange(shot.frames) / shot.fps
        plan = _rare(rng, seconds) if shot.subset == "rare-motion" else _regular(rng)
        kinds = [("car", car(paint(rng), glow=1.0))] + [vehicle(rng, glow=1.0) for _ in plan.along_m[1:]]
        traffic = Traffic(
            np.array(plan.along_m), np.array(plan.speeds), np.array(plan.speeds), np.array(plan.lanes),
            np.array([body.size_m[0] for _, body in kinds]), LANES_M, Driver(change_s=2.8), events=tuple(plan.events),
        )  # fmt: skip
        along, left, speed, acceleration = traffic.run(shot.frames, shot.fps)

        reach = float(along[-1, 0]) + 130.0
        path = Path.bends((0.0, 0.0), 0.0, [(_BEHIND_M + 8.0, 0.0), (reach, reach * plan.bend_rad_per_m)])
        builder = SceneBuilder()
        _land(builder, rng, path)
        crowd = Crowd(builder, rng)
        if plan.walker is not None:
            (x, y), heading = path.at(np.array(_BEHIND_M + plan.walker[0]), -7.6)
            towards = heading + np.pi / 2
            pace = plan.walker[1]
            crowd.add(Walker((float(x), float(y)), (pace * float(np.cos(towards)), pace * float(np.sin(towards)))))
        others = [builder.object(name, body) for name, body in kinds[1:]]
        oncoming, swerve = _oncoming(rng, times, reach, plan)
        against = [builder.object(*vehicle(rng, glow=1.0, heavy=0.1)) for _ in range(oncoming.shape[1])]
        scene = builder.build()

        rotations, translations, present = still(shot.frames, scene)
        spots, heading = path.at(_BEHIND_M + along, left)
        drift = np.gradient(left, 1 / shot.fps, axis=0) if shot.frames > 1 else np.zeros_like(left)
        heading = heading + np.arctan2(drift, np.maximum(speed, 3.0))
        for n, body in enumerate(others, start=1):
            place(rotations, translations, body, spots[:, n], heading[:, n])
        for n, body in enumerate(against):
            at, way = path.at(_BEHIND_M + oncoming[:, n], swerve[:, n])
            # seen from a car that comes towards us, moving to our right is moving to its left
            slant = np.gradient(swerve[:, n]) / np.minimum(np.gradient(oncoming[:, n]), -0.1) if len(times) > 1 else 0.0
            place(rotations, translations, body, at, way + np.pi + np.arctan(slant))
        crowd.pose(rotations, translations, times)
        size = (shot.width, shot.height)
        cameras = dash_cameras(
            spots[:, 0], heading[:, 0], acceleration[:, 0], shot.fps, size, lens(*size, 66), down_rad=0.07
        )
        return Take(scene, rotations, translations, present, cameras, LOOK, int(rng.integers(2**31)))


def _regular(rng: np.random.Generator) -> Plan:
    speed = float(rng.uniform(14, 20))
    own = int(rng.integers(0, 2))
    along, lanes = [0.0], [own]
    for lane in (0, 1):
        at = float(rng.uniform(13, 30)) if lane == own else float(rng.uniform(-12, 25))
        while at < 100:
            along.append(at)
            lanes.append(lane)
            at += float(rng.uniform(20, 45))
    speeds = [speed] + [speed + float(rng.normal(0, 0.8)) for _ in along[1:]]
    return Plan(float(rng.normal(0, 0.0008)), along, speeds, lanes)


def _rare(rng: np.random.Generator, seconds: float) -> Plan:
    """One rare thing, in the first part of the clip so that it can be seen."""
    plan = _regular(rng)
    start = float(rng.uniform(0.0, seconds / 4))
    quick = float(np.clip(0.8 * seconds, 1.4, 2.4))
    speed, own = plan.speeds[0], plan.lanes[0]
    kind = rng.choice(["cut-in", "braking", "person", "bend", "intruder"])
    # room for what is going to happen
    keep = [n for n, at in enumerate(plan.along_m) if n == 0 or at > 35 or at < -8]
    plan.along_m = [plan.along_m[n] for n in keep]
    plan.speeds = [plan.speeds[n] for n in keep]
    plan.lanes = [plan.lanes[n] for n in keep]
    if kind == "bend":
        plan.bend_rad_per_m = float(picked(rng, [-1, 1]) * rng.uniform(0.010, 0.018))
        plan.speeds = [min(value, 13.0) for value in plan.speeds]
    elif kind == "person":
        where = float(rng.uniform(20, 28))
        plan.walker = (where, float(rng.uniform(1.6, 2.6)))
        plan.events.append(Halt(0, 0.0, 60.0, where - 2.5))
    elif kind == "intruder":
        plan.intruder_m = float(rng.uniform(38, 55))
        plan.lanes[0] = 1
    else:
        lane = own if kind == "braking" else 1 - own
        plan.along_m.append(float(rng.uniform(16, 22) if kind == "braking" else rng.uniform(8, 13)))
        plan.lanes.append(lane)
        plan.speeds.append(speed - (0.0 if kind == "braking" else float(rng.uniform(0, 2))))
        newest = len(plan.lanes) - 1
        braking = Push(newest, start, start + 5.0, -float(rng.uniform(5.5, 7.5)))
        plan.events.append(braking if kind == "braking" else Change(newest, start, own, quick))
    return plan


def _oncoming(rng: np.random.Generator, times: Array, reach: float, plan: Plan) -> tuple[Array, Array]:
    """Distances along (T, M) and offsets to the left (T, M) of those who come towards us."""
    start: list[float] = []
    at = float(rng.uniform(20, 60))
    while at < reach + 40:
        start.append(at)
        at += float(rng.uniform(18, 50))
    lanes = rng.choice([1.8, 5.3], len(start))
    along = np.array(start)[None] - rng.uniform(14, 20, len(start))[None] * times[:, None]
    left = np.broadcast_to(lanes, along.shape).copy()
    if plan.intruder_m is not None and start:
        along[:, 0] = plan.intruder_m - 14.0 * times
        # across the middle line and back
        share = times / 1.6
        left[:, 0] = 1.8 - 2.2 * (smooth(share) - smooth(share - 1.0))
    return along, left


def _land(builder: SceneBuilder, rng: np.random.Generator, path: Path) -> None:
    builder.ground(ground(rectangle(2400, 2400), (84, 96, 70), texture=GRASS))
    builder.ground(ribbon(path, 0.0, 15.2, (92, 92, 98), ASPHALT))
    for edge in (-7.2, 7.2):
        builder.ground(ribbon(path, edge, 0.2, (240, 240, 235), PLAIN))
    for line in (-3.55, 3.55):
        builder.ground(dashes(path, line, 0.16, 3.0, 9.0, (240, 240, 235)))
    for line in (-0.15, 0.15):
        builder.ground(ribbon(path, line, 0.14, (235, 200, 80), PLAIN))
    reach = float(path.lengths[-1])
    first = float(rng.uniform(0, 30))
    for n, at in enumerate(np.arange(first, reach, 30.0)):
        side = -1 if n % 2 else 1
        builder.scenery(*put(pole(7.0, lamp=1.0, arm=2.0), path, float(at), side * 8.4, np.pi if side > 0 else 0.0))
    for at in np.arange(10.0, reach, 17.0):
        away = picked(rng, [-1, 1])
        if rng.uniform() < 0.5:
            house = building(rng, float(rng.uniform(9, 16)), 9.0, picked(rng, [6.4, 9.6]), lit=0.3)
            builder.scenery(*put(house, path, float(at), away * float(rng.uniform(19, 28))))
        else:
            builder.scenery(*put(tree(rng), path, float(at), away * float(rng.uniform(10.5, 17))))
