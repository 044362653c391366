"""Small scenes for the tests of the renderer."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.camera import Camera, lens, look_at
from drivereplay.domains.worlds.rigid import rotation_by
from drivereplay.domains.worlds.scene import Look, SceneBuilder, Take, still
from drivereplay.domains.worlds.solids import Body, box, ground, rectangle
from drivereplay.domains.worlds.textures import MOSAIC

FLAT = Look(ambient=1.0, sunlight=0.0, haze_m=1e6)
"""Light without direction: a thing looks the same wherever it turns."""


def boxes_take(seed: int, count: int = 8, frames: int = 2, size: tuple[int, int] = (96, 64)) -> Take:
    """Upright boxes that do not touch each other, seen from outside, and moving a little."""
    rng = np.random.default_rng(seed)
    builder = SceneBuilder()
    builder.ground(ground(rectangle(200, 200), (120.0, 140.0, 110.0), texture=MOSAIC))
    cells = rng.permutation(16)[:count]
    bodies, spots, turns = [], [], []
    for cell in cells:
        length, width, height = rng.uniform(0.5, 2.4, 3)
        colour = rng.uniform(60, 240, 3)
        solid = box(length, width, height, (colour[0], colour[1], colour[2]), texture=MOSAIC)
        bodies.append(builder.object("crate", Body((solid,), (length, width, height))))
        spots.append(3.6 * np.array([cell % 4, cell // 4]) - 5.4)
        turns.append(rng.uniform(0, np.pi))
    scene = builder.build()
    rotations, translations, present = still(frames, scene)
    for body, spot, turn in zip(bodies, spots, turns, strict=True):
        spin, drift = rng.normal(0, 0.05), rng.normal(0, 0.05, 2)
        for t in range(frames):
            rotations[t, body] = rotation_by(np.array([[0.0, 0.0, turn + spin * t]]))[0]
            translations[t, body, :2] = spot + drift * t
    angle = rng.uniform(0, 2 * np.pi)
    cameras = []
    for t in range(frames):
        eye = 13.0 * np.array([np.cos(angle + 0.01 * t), np.sin(angle + 0.01 * t), 0.0]) + (0, 0, rng.uniform(1.0, 6.0))
        cameras.append(Camera(look_at(eye, np.zeros(3)), eye, lens(*size, 60), (size[0] / 2, size[1] / 2), size))
    return Take(scene, rotations, translations, present, tuple(cameras), FLAT)
