"""A hand-held camera among textured things."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import PAINTS, end_patch, paint
from drivereplay.domains.worlds.camera import Camera, lens, view_rotation
from drivereplay.domains.worlds.scene import SceneBuilder, Take, headings, picked, still
from drivereplay.domains.worlds.solids import Body, box
from drivereplay.domains.worlds.terrain import daylight, land
from drivereplay.domains.worlds.textures import BARK, CHECKER, CLOTH, FACADE, LEAVES, MOSAIC, PAVING
from drivereplay.domains.worlds.world import Shot, World


class Handheld(World):
    """The camera pans, zooms and shakes; nothing else moves."""

    name = "handheld"
    summary = "pans, zooms and shake of a hand-held camera among textured boards"

    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        times = np.arange(shot.frames) / shot.fps
        builder = SceneBuilder()
        land(builder, rng, 300.0)
        things = []
        for angle in np.arange(-80, 81, 14.0) + rng.uniform(-4, 4, 12):
            distance = float(rng.uniform(4.0, 9.0))
            towards = np.radians(angle)
            board = _board(rng)
            turn = towards + np.pi + float(rng.normal(0, 0.4))
            spot = distance * np.array([np.cos(towards), np.sin(towards)])
            things.append((builder.object("board", board), spot, turn))
        for angle in range(-90, 91, 12):
            towards = np.radians(angle)
            texture = picked(rng, [FACADE, PAVING, BARK, MOSAIC])
            wall = box(0.5, 7.4, float(rng.uniform(3, 6)), paint(rng), texture=texture)
            builder.scenery(wall.moved(float(17 * np.cos(towards)), float(17 * np.sin(towards)), 0.0, float(towards)))
        scene = builder.build()
        rotations, translations, present = still(shot.frames, scene)
        for body, spot, turn in things:
            rotations[:, body], translations[:, body, :2] = headings(np.array(turn)), spot
        return Take(scene, rotations, translations, present, _hand(rng, shot, times), daylight(rng))


def _hand(rng: np.random.Generator, shot: Shot, times: NDArray[np.float64]) -> tuple[Camera, ...]:
    """Slow pans and zooms with the tremor of a hand on top."""

    def shake(size: float) -> NDArray[np.float64]:
        # slow sway and quicker tremor; sampled as a camera with a short exposure would
        rates, phases = np.array([0.7, 1.3, 2.6]) * rng.uniform(0.8, 1.2, 3), rng.uniform(0, 2 * np.pi, 3)
        parts = np.sin(2 * np.pi * rates * times[:, None] + phases) * np.array([1.0, 0.6, 0.3])
        swing: NDArray[np.float64] = size * parts.sum(axis=1)
        return swing

    yaw = (
        rng.uniform(-0.6, 0.6) + picked(rng, [-1, 1]) * rng.uniform(0.0, 0.35) * (times - times[-1] / 2) + shake(0.014)
    )
    pitch = rng.uniform(-0.12, 0.02) + rng.normal(0, 0.03) * times + shake(0.010)
    roll = shake(0.010)
    size = (shot.width, shot.height)
    zoom = np.exp(rng.normal(0, 0.22) * np.sin(2 * np.pi * times / rng.uniform(2.5, 6.0) + rng.uniform(0, 2 * np.pi)))
    walk = np.stack([shake(0.03), shake(0.03), 1.55 + shake(0.02)], axis=1)
    walk[:, :2] += rng.normal(0, 0.3, 2) * times[:, None]
    focal = lens(*size, 56)
    return tuple(
        Camera(
            view_rotation(float(yaw[t]), float(pitch[t]), float(roll[t])), walk[t], float(focal * zoom[t]),
            (size[0] / 2, size[1] / 2), size,
        )
        for t in range(len(times))
    )  # fmt: skip


def _board(rng: np.random.Generator) -> Body:
    """A poster on a stand, a crate or a pillar; its front is −x turned to the camera by the caller."""
    width, height = float(rng.uniform(0.8, 1.8)), float(rng.uniform(1.0, 2.4))
    depth = picked(rng, [0.12, 0.9, 0.5])
    texture = picked(rng, [CHECKER, MOSAIC, CLOTH, LEAVES, PAVING])
    solid = box(depth, width, height, paint(rng), texture=texture)
    patches = []
    for _ in range(int(rng.integers(1, 4))):
        w, h = float(rng.uniform(0.15, 0.4)) * width, float(rng.uniform(0.15, 0.35)) * height
        y, z = float(rng.uniform(-0.28, 0.28)) * width, float(rng.uniform(0.05, 0.6)) * height
        patches.append(end_patch(y, z, w, h, depth / 2 + 0.01, PAINTS[rng.integers(len(PAINTS))]))
    return Body((solid.with_decals(patches),), (depth, width, height))
