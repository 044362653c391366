"""A camera that circles a group of things."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.bodies import car, paint
from drivereplay.domains.worlds.camera import Camera, lens, look_at
from drivereplay.domains.worlds.scene import SceneBuilder, Take, headings, picked, still
from drivereplay.domains.worlds.solids import Body, Solid
from drivereplay.domains.worlds.terrain import daylight, land, sculpture
from drivereplay.domains.worlds.world import Shot, World


class Orbit(World):
    """Sculptures and a car on a plain; some of them turn on the spot."""

    name = "orbit"
    summary = "camera circling a group of objects, some of which turn"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        times = np.arange(shot.frames) / shot.fps
        builder = SceneBuilder()
        land(builder, rng, 400.0)
        count = int(rng.integers(3, 6))
        start = rng.uniform(0, 2 * np.pi)
        things = []
        for n in range(count):
            distance = 0.0 if n == 0 else float(rng.uniform(2.6, 3.8))
            angle = start + n * 2 * np.pi / max(1, count - 1)
            spot = distance * np.array([np.cos(angle), np.sin(angle)])
            if n > 0 and rng.uniform() < 0.25:
                body, name = car(paint(rng)), "car"
                spot *= 1.3
            else:
                body, name = _standing(sculpture(rng)), "sculpture"
            spin = float(rng.normal(0, 0.8)) if rng.uniform() < 0.5 and name == "sculpture" else 0.0
            things.append((builder.object(name, body), spot, rng.uniform(0, 2 * np.pi), spin))
        scene = builder.build()
        rotations, translations, present = still(shot.frames, scene)
        for body_number, spot, heading, spin in things:
            rotations[:, body_number] = headings(heading + spin * times)
            translations[:, body_number, :2] = spot
        size = (shot.width, shot.height)
        speed = picked(rng, [-1, 1]) * rng.uniform(0.25, 0.8)
        radius, rise = rng.uniform(8.5, 12.0), rng.uniform(0.2, 0.75)
        angles = rng.uniform(0, 2 * np.pi) + speed * times
        closer = radius * (1 + 0.12 * np.sin(rng.uniform(0, 2 * np.pi) + rng.uniform(0.3, 1.0) * times))
        focal = lens(*size, 48)
        cameras = []
        for angle, far in zip(angles, closer, strict=True):
            towards = np.array([np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise)])
            eye = far * towards + (0.0, 0.0, 0.6)
            turned = look_at(eye, np.array([0.0, 0.0, 0.9]))
            cameras.append(Camera(turned, eye, focal, (size[0] / 2, size[1] / 2), size))
        return Take(scene, rotations, translations, present, tuple(cameras), daylight(rng))


def _standing(solids: tuple[Solid, ...]) -> Body:
    corners = np.concatenate([solid.corners.reshape(-1, 3) for solid in solids])
    reach = 2 * np.abs(corners[:, :2]).max(axis=0)
    return Body(solids, (float(reach[0]), float(reach[1]), float(corners[:, 2].max())))
