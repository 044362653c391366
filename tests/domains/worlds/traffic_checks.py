"""What the tests of the driving worlds look at in a staged clip."""

from __future__ import annotations

import numpy as np

from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.scene import Take
from drivereplay.domains.worlds.world import Shot

FPS = 8.0
VEHICLES = ("car", "van", "truck", "bus")


def takes(world: str, subset: str, count: int, frames: int = 17) -> list[Take]:
    """The first clips of a world, staged and not rendered."""
    named = world_named(world)
    return [named.take(Shot(11, clip, frames, FPS, 32, 48, subset)) for clip in range(count)]  # type: ignore[arg-type]


def ego_motion(take: Take) -> tuple[np.ndarray, np.ndarray]:
    """Speed in m/s and yaw rate in rad/s of the camera, (T − 1,) each."""
    places = np.stack([camera.position[:2] for camera in take.cameras])
    speed = np.linalg.norm(np.diff(places, axis=0), axis=1) * FPS
    yaw = np.unwrap([np.arctan2(camera.rotation[1, 2], camera.rotation[0, 2]) for camera in take.cameras])
    return speed, np.diff(yaw) * FPS


def sideways(take: Take) -> float:
    """Fastest motion of any moving vehicle across its clip's main direction of travel, m/s."""
    fastest = 0.0
    for number, body in enumerate(take.scene.main_bodies):
        if take.scene.classes[number] in VEHICLES:
            step = np.diff(take.translations[:, body, :2], axis=0) * FPS
            ahead = take.cameras[0].rotation[:2, 2] / np.linalg.norm(take.cameras[0].rotation[:2, 2])
            fastest = max(fastest, float(np.abs(step @ np.array([-ahead[1], ahead[0]])).max()))
    return fastest


def collisions(take: Take, margin_m: float = 0.1) -> int:
    """Pairs of vehicles whose outlines run into each other by more than a margin at any time."""
    numbers = [n for n, name in enumerate(take.scene.classes) if name in VEHICLES]
    found = 0
    for i, a in enumerate(numbers):
        for b in numbers[i + 1 :]:
            found += any(_overlap(take, a, b, t, margin_m) for t in range(len(take.cameras)))
    return found


def _overlap(take: Take, a: int, b: int, t: int, margin: float) -> bool:
    bodies = take.scene.main_bodies
    offset = take.translations[t, bodies[b], :2] - take.translations[t, bodies[a], :2]
    if np.hypot(*offset) > 12:
        return False
    turns = [take.rotations[t, bodies[n]][:2, :2] for n in (a, b)]
    halves = [take.scene.sizes_m[n, :2] / 2 - margin for n in (a, b)]
    # two rectangles are apart if they are so along one of their four sides
    for turn in turns:
        for axis in turn.T:
            reach = sum(float(np.abs(axis @ other) @ half) for other, half in zip(turns, halves, strict=True))
            if abs(float(offset @ axis)) > reach:
                return False
    return True
