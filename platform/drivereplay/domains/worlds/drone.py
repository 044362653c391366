"""A drone over hills and fields."""

from __future__ import annotations

import math

import numpy as np

from drivereplay.domains.worlds.bodies import house, tree, vehicle
from drivereplay.domains.worlds.camera import Camera, lens, view_rotation
from drivereplay.domains.worlds.motion import Path, place
from drivereplay.domains.worlds.roads import ribbon
from drivereplay.domains.worlds.scene import SceneBuilder, Take, still
from drivereplay.domains.worlds.terrain import daylight, fields, hill
from drivereplay.domains.worlds.textures import ASPHALT
from drivereplay.domains.worlds.world import Shot, World


class Drone(World):
    """Six degrees of freedom: it flies, climbs, yaws, pitches and rolls; cars drive below."""

    name = "drone"
    summary = "six degrees of freedom over hills, fields, houses and a road with cars"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        times = np.arange(shot.frames) / shot.fps
        builder = SceneBuilder()
        fields(builder, rng, 330.0, 33.0)
        start_y, heading, bend = float(rng.uniform(-30, 30)), float(rng.normal(0, 0.15)), float(rng.normal(0, 0.5))
        road = Path.bends((-170.0, start_y), heading, [(360.0, bend)])
        builder.ground(ribbon(road, 0.0, 8.0, (112, 112, 116), ASPHALT))
        builder.ground(ribbon(road, 0.0, 0.4, (235, 235, 230)))
        taken: list[tuple[float, float, float]] = []
        for _ in range(46):
            spot, kind = rng.uniform(-120, 120, 2), rng.uniform()
            solids = (hill(rng),) if kind < 0.2 else tree(rng) if kind < 0.6 else house(rng)[0]
            reach = max(float(np.abs(solid.corners[..., :2]).max()) for solid in solids) * 1.4
            x, y = spot.tolist()
            from_road = np.sqrt((((road.points - spot) ** 2).sum(axis=1)).min())
            if from_road > reach + 6 and all(math.hypot(x - a, y - b) > reach + size for a, b, size in taken):
                taken.append((x, y, reach))
                turn = float(rng.uniform(0, np.pi))
                builder.scenery(*(solid.moved(x, y, 0.0, turn) for solid in solids))
        cars = []
        for start in np.arange(60.0, 330.0, 22.0):
            if rng.uniform() < 0.7:
                body = builder.object(*vehicle(rng, heavy=0.3))
                cars.append((body, start, float(rng.uniform(9, 16)), rng.uniform() < 0.5))
        scene = builder.build()
        rotations, translations, present = still(shot.frames, scene)
        for body, start, speed, back in cars:
            spots, along_road = road.at(start + (-speed if back else speed) * times, 2.0 if back else -2.0)
            place(rotations, translations, body, spots, along_road + (np.pi if back else 0.0))
        return Take(scene, rotations, translations, present, _flight(rng, shot, times), daylight(rng))


def _flight(rng: np.random.Generator, shot: Shot, times: np.ndarray) -> tuple[Camera, ...]:
    """Steady flight with slow swings of every degree of freedom."""

    def swing(size: float, slowest_s: float = 3.0) -> np.ndarray:
        period, phase = rng.uniform(slowest_s, 2.5 * slowest_s), rng.uniform(0, 2 * np.pi)
        return size * np.sin(2 * np.pi * times / period + phase)

    start_yaw = rng.uniform(0, 2 * np.pi)
    yaw = start_yaw + rng.normal(0, 0.25) * times + swing(0.15)
    pitch = -rng.uniform(0.35, 0.8) + swing(0.12)
    # a drone leans into its turns
    lean = np.gradient(yaw, times) if len(times) > 1 else np.zeros(1)
    roll = 0.4 * lean + swing(0.08)
    speed = rng.uniform(4, 13)
    course = start_yaw + rng.normal(0, 0.5)
    velocity = speed * np.array([np.cos(course), np.sin(course)])
    place_m = -velocity * times[-1] / 2 - 25 * np.array([np.cos(start_yaw), np.sin(start_yaw)])
    position = place_m + velocity * times[:, None]
    height = rng.uniform(18, 38) + swing(2.5) + rng.normal(0, 1.0) * times
    size = (shot.width, shot.height)
    focal = lens(*size, 68)
    return tuple(
        Camera(
            view_rotation(float(yaw[t]), float(pitch[t]), float(roll[t])),
            np.array([*position[t], max(14.0, float(height[t]))]), focal, (size[0] / 2, size[1] / 2), size,
        )
        for t in range(len(times))
    )  # fmt: skip
