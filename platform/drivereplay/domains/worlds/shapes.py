"""Things that fall, bounce and collide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import PAINTS, SHADE, paint
from drivereplay.domains.worlds.camera import Camera, lens, look_at
from drivereplay.domains.worlds.rigid import RigidBodies
from drivereplay.domains.worlds.scene import Look, SceneBuilder, Take, picked, still
from drivereplay.domains.worlds.solids import (
    Body,
    Colour,
    Face,
    Solid,
    barrel,
    box,
    ground,
    polygon,
    rectangle,
    sphere_rings,
)
from drivereplay.domains.worlds.textures import ASPHALT, BARK, CHECKER, CLOTH, FACADE, GRASS, MOSAIC, PAVING, PLAIN
from drivereplay.domains.worlds.world import Shot, World

Array = NDArray[np.float64]


class Shapes(World):
    """Balls, cubes and octahedra thrown onto a floor in front of a fixed camera."""

    name = "shapes"
    summary = "rigid bodies under gravity with bounces and collisions, fixed camera"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        builder = SceneBuilder()
        red, green, blue = rng.uniform(110, 215, 3)
        texture = picked(rng, [CHECKER, PAVING, MOSAIC, ASPHALT, GRASS])
        builder.ground(ground(rectangle(80, 80), (red, green, blue), texture=texture))
        red, green, blue = rng.uniform(120, 230, 3)
        wall = box(0.5, 60, 12, (red, green, blue), texture=picked(rng, [BARK, PLAIN, FACADE]))
        builder.scenery(wall.moved(float(rng.uniform(4, 7))))

        count = int(rng.integers(3, 8))
        radius = rng.uniform(0.28, 0.6, count)
        kinds = rng.integers(0, 3, count)
        solids = [_ball, _cube, _octahedron]
        bodies, points = [], np.zeros((count, 8, 3))
        for n in range(count):
            solid, outer = solids[kinds[n]](float(radius[n]), rng)
            points[n] = outer
            size = float(2 * radius[n])
            shadow = ground(polygon(8, 0.8 * float(radius[n])), SHADE)
            name = ("ball", "cube", "octahedron")[kinds[n]]
            bodies.append(builder.object(name, Body((solid,), (size, size, size), (Body((), shadow=(shadow,)),))))
        scene = builder.build()

        mass = radius**3
        # solid ball: 2/5 m r²; cube of half side a = r/√3: 2/3 m a²; octahedron of half diagonal r: m r²/5
        inertia = mass * radius**2 * np.array([2 / 5, 2 / 9, 1 / 5])[kinds]
        meets = radius * np.array([1.0, 0.75, 0.72])[kinds]
        side = rng.choice([-1.0, 1.0], count)
        centre = rng.uniform((-1.2, 0.2, 0.7), (2.2, 3.0, 3.4), (count, 3))
        velocity = rng.uniform((-1.2, -3.5, -1.0), (1.2, -0.3, 3.0), (count, 3))
        centre[:, 1] *= side
        velocity[:, 1] *= side
        turn = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
        world = RigidBodies(
            _apart(centre, meets), velocity, rng.normal(0, 3.0, (count, 3)), turn, mass, inertia, points, meets,
            restitution=float(rng.uniform(0.5, 0.8)), friction=float(rng.uniform(0.2, 0.6)),
        )  # fmt: skip
        centres, turns = world.run(shot.frames, shot.fps)

        rotations, translations, present = still(shot.frames, scene)
        for n, body in enumerate(bodies):
            rotations[:, body] = turns[:, n]
            # a body's origin is below its middle, see `solids.Body`
            translations[:, body] = centres[:, n] - turns[:, n, :, 2] * radius[n]
            translations[:, body + 1, :2] = centres[:, n, :2]
        size_px = (shot.width, shot.height)
        eye = np.array([-rng.uniform(5.0, 7.5), rng.uniform(-1.5, 1.5), rng.uniform(1.2, 3.2)])
        target = np.array([1.0, 0.0, 1.1])
        camera = Camera(look_at(eye, target), eye, lens(*size_px, 58), (shot.width / 2, shot.height / 2), size_px)
        look = Look(sun=(-0.6, 0.3, 0.74), haze_m=400.0)
        return Take(scene, rotations, translations, present, (camera,) * shot.frames, look)


def _apart(centre: Array, reach: Array) -> Array:
    """Nothing begins inside anything else: later bodies start higher until they are free."""
    for n in range(1, len(centre)):
        while (np.linalg.norm(centre[:n] - centre[n], axis=1) < 1.1 * (reach[:n] + reach[n])).any():
            centre[n, 2] += 0.3
    return centre


def _other(colour: Colour, rng: np.random.Generator) -> Colour:
    second = PAINTS[rng.integers(len(PAINTS))]
    return second if np.abs(np.subtract(second, colour)).sum() > 120 else (240.0, 240.0, 240.0)


def _ball(radius: float, rng: np.random.Generator) -> tuple[Solid, Array]:
    """A beach ball: two colours, so that its spin shows."""
    colour = paint(rng)
    solid = barrel(sphere_rings(radius, radius, 6), colour, sides=8)
    second = _other(colour, rng)
    solid.colours[::2] = second
    return solid, np.zeros((8, 3))


def _cube(radius: float, rng: np.random.Generator) -> tuple[Solid, Array]:
    """Its corners are `radius` from its middle."""
    half = radius / np.sqrt(3)
    colour = paint(rng)
    solid = box(2 * half, 2 * half, 2 * half, colour, bottom_m=radius - half, top=_other(colour, rng), texture=CLOTH)
    solid.colours[[0, 2]] = _other(colour, rng)
    corners = np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1.0
    return solid, corners * half


def _octahedron(radius: float, rng: np.random.Generator) -> tuple[Solid, Array]:
    tips = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]) * radius
    colour = paint(rng)
    second = _other(colour, rng)
    faces = []
    for n in range(4):
        a, b = tips[n], tips[(n + 1) % 4]
        top, bottom = np.array([0, 0, radius]), np.array([0, 0, -radius])
        faces.append(Face(np.stack([a, b, top]) + top, colour if n % 2 else second))
        faces.append(Face(np.stack([b, a, bottom]) + top, second if n % 2 else colour))
    outer = np.concatenate([tips, [[0, 0, radius], [0, 0, -radius]], tips[:2]])
    return Solid.of(faces), outer
