"""People on the move: where they go, and putting them into a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import pedestrian
from drivereplay.domains.worlds.motion import walk
from drivereplay.domains.worlds.scene import SceneBuilder

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Walker:
    """Someone who walks in a straight line.

    Attributes:
        start: (x, y) at `starts_s`.
        velocity: (vx, vy) in m/s.
        starts_s: Before it, the person stands.
        ends_s: After it, the person stands again.
    """

    start: tuple[float, float]
    velocity: tuple[float, float]
    starts_s: float = 0.0
    ends_s: float = float("inf")

    def places(self, times_s: Array) -> Array:
        """(T, 2)."""
        gone = np.clip(times_s, self.starts_s, self.ends_s) - self.starts_s
        return np.asarray(self.start) + gone[:, None] * np.asarray(self.velocity)


class Crowd:
    """People of one scene: added while it is built, posed when the clip's length is known."""

    def __init__(self, builder: SceneBuilder, rng: np.random.Generator) -> None:
        self._builder, self._rng = builder, rng
        self._people: list[tuple[int, Walker]] = []

    def add(self, walker: Walker) -> None:
        """One more person."""
        self._people.append((self._builder.object("pedestrian", pedestrian(self._rng)), walker))

    def pose(self, rotations: Array, translations: Array, times_s: Array) -> None:
        """Put everybody where they are at the given times."""
        for number, (body, walker) in enumerate(self._people):
            heading = np.full(len(times_s), np.arctan2(walker.velocity[1], walker.velocity[0]))
            walk(rotations, translations, body, walker.places(times_s), heading, 1.7 * number)
