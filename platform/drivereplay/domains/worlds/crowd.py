"""A square with many people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import building, pedestrian, tree
from drivereplay.domains.worlds.camera import Camera, lens, look_at
from drivereplay.domains.worlds.motion import walk
from drivereplay.domains.worlds.scene import SceneBuilder, Take, picked, still
from drivereplay.domains.worlds.terrain import daylight, land
from drivereplay.domains.worlds.world import Shot, World

Array = NDArray[np.float64]


class Crowd(World):
    """People cross a square in all directions and make way for each other; the camera turns slowly."""

    name = "crowd"
    summary = "many people who cross a square and avoid each other"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        times = np.arange(shot.frames) / shot.fps
        builder = SceneBuilder()
        land(builder, rng, 400.0)
        for n, angle in enumerate(np.arange(-60, 61, 24.0)):
            towards = np.radians(angle)
            spot = 34 * np.array([np.cos(towards), np.sin(towards)])
            is_house = n % 2 == 0 or rng.uniform() < 0.5
            things = building(rng, 13.0, 8.0, picked(rng, [6.4, 9.6, 12.8])) if is_house else tree(rng)
            builder.scenery(*(t.moved(float(spot[0]), float(spot[1]), 0.0, float(towards) + np.pi / 2) for t in things))
        count = int(rng.integers(12, 22))
        bodies = [builder.object("pedestrian", pedestrian(rng)) for _ in range(count)]
        scene = builder.build()
        rotations, translations, present = still(shot.frames, scene)
        places, heading = walkers(rng, count, shot.frames, shot.fps)
        for n, body in enumerate(bodies):
            walk(rotations, translations, body, places[:, n], heading[:, n], float(n))
        size = (shot.width, shot.height)
        eye = np.array([-rng.uniform(2, 5), rng.uniform(-3, 3), rng.uniform(2.2, 5.5)])
        sway = rng.normal(0, 0.6) * (times - times[-1] / 2)
        cameras = tuple(
            Camera(
                look_at(eye, np.array([10.0, float(y), 0.7])), eye, lens(*size, 60), (size[0] / 2, size[1] / 2), size
            )
            for y in sway
        )
        return Take(scene, rotations, translations, present, cameras, daylight(rng))


def walkers(rng: np.random.Generator, count: int, frames: int, fps: float) -> tuple[Array, Array]:
    """Places (frames, N, 2) and headings (frames, N) of people on a square, by the social force model.

    Each is driven towards its own direction within 0.5 s and pushed away from others by A·exp((d₀ − d)/B), more
    strongly by those in front: Helbing and Molnár, "Social force model for pedestrian dynamics", Phys. Rev. E 51
    (1995).
    """
    strength, range_m, body_m, relax_s = 6.0, 0.35, 0.55, 0.5
    place = np.column_stack([rng.uniform(2.5, 22, count), rng.uniform(-8, 8, count)])
    angle = rng.uniform(0, 2 * np.pi, count)
    wish = rng.uniform(0.8, 1.7, count)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # people who lead the way back in keep the square full
    wish = np.where(((place + 3 * wish - (12, 0)) * wish).sum(axis=1, keepdims=True) > 40, -wish, wish)
    velocity = wish.copy()
    fine = max(1, int(np.ceil(16 / fps)))
    dt = 1 / fps / fine
    places, headings = np.empty((frames, count, 2)), np.empty((frames, count))
    heading = np.arctan2(wish[:, 1], wish[:, 0])
    for t in range(frames):
        places[t], headings[t] = place, heading
        for _ in range(fine):
            offset = place[:, None] - place[None]
            distance = np.maximum(np.linalg.norm(offset, axis=2), 1e-6)
            pace = np.maximum(np.linalg.norm(velocity, axis=1), 0.1)
            ahead = -(offset * velocity[:, None]).sum(axis=2) / distance / pace[:, None]
            push = strength * np.exp((body_m - distance) / range_m) * (0.6 + 0.4 * ahead)
            np.fill_diagonal(push, 0.0)
            force = (push[..., None] * offset / distance[..., None]).sum(axis=1)
            velocity = velocity + dt * ((wish - velocity) / relax_s + np.clip(force, -6, 6))
            place = place + dt * velocity
            turn = np.angle(np.exp(1j * (np.arctan2(velocity[:, 1], velocity[:, 0]) - heading)))
            heading = heading + np.clip(turn, -3.0 * dt, 3.0 * dt)
    return places, headings
