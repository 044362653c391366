"""Rigid balls, cubes and octahedra under gravity: bounces, friction, spin, collisions.

All of them have the same moment of inertia about every axis, so free flight keeps the spin vector exactly. Contacts are
impulses with Coulomb friction (Mirtich and Canny, "Impulse-based simulation of rigid bodies", 1995).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Vector = tuple[float, float, float]

GRAVITY = 9.81
_SAME = np.eye(3)
STEP_S = 1 / 120


@dataclass
class RigidBodies:
    """N bodies above the ground z = 0.

    Attributes:
        centre: (N, 3) metres.
        velocity: (N, 3) m/s.
        spin: (N, 3) rad/s in the world's axes.
        turn: (N, 3, 3) body to world.
        mass: (N,) kg.
        inertia: (N,) kg m².
        points: (N, K, 3) outermost points in body axes; all zero for a ball.
        radius: (N,) of a ball, or of the ball that stands for a body when two bodies meet.
        restitution: Share of the approach speed that is left after a bounce.
        friction: Coulomb's coefficient.
    """

    centre: Array
    velocity: Array
    spin: Array
    turn: Array
    mass: Array
    inertia: Array
    points: Array
    radius: Array
    restitution: float = 0.6
    friction: float = 0.4

    def __post_init__(self) -> None:
        self._turning: Array | None = None
        # when two bodies touch; each pair once
        later = np.triu(np.ones((len(self.radius), len(self.radius)), bool), 1)
        self._touching = np.where(later, self.radius[None] + self.radius[:, None], -1.0)
        # how far below its middle a body can touch the ground
        self._reach = np.maximum(np.linalg.norm(self.points, axis=2).max(axis=1), self.radius)

    def run(self, frames: int, fps: float) -> tuple[Array, Array]:
        """Centres (frames, N, 3) and turns (frames, N, 3, 3)."""
        fine = max(1, int(np.ceil(1 / fps / STEP_S - 1e-9)))
        self._turning = None
        self._is_ball = ~np.any(self.points, axis=(1, 2))
        centres, turns = np.empty((frames, *self.centre.shape)), np.empty((frames, *self.turn.shape))
        for t in range(frames):
            centres[t], turns[t] = self.centre, self.turn
            for _ in range(fine):
                self._step(1 / fps / fine)
        return centres, turns

    def _step(self, dt: float) -> None:
        self.centre = self.centre + self.velocity * dt
        self.centre[:, 2] -= 0.5 * GRAVITY * dt * dt
        self.velocity = self.velocity - np.array([0.0, 0.0, GRAVITY * dt])
        # spins change at contacts only, and so do the turns of a step
        if self._turning is None:
            self._turning = rotation_by(self.spin * dt)
        self.turn = self._turning @ self.turn
        self._hit_ground(dt)
        self._hit_each_other()

    def _hit_ground(self, dt: float) -> None:
        """The lowest point of every body that is in the ground and still sinks gets an impulse."""
        # nothing to do while all are higher than they reach
        if (self.centre[:, 2] > self._reach).all():
            return
        outer = np.matmul(self.points, self.turn.transpose(0, 2, 1))
        lowest = outer[..., 2].argmin(axis=1)
        arm = outer[np.arange(len(lowest)), lowest]
        is_ball = self._is_ball
        arm[is_ball] = 0.0
        arm[is_ball, 2] = -self.radius[is_ball]
        depth = -(self.centre[:, 2] + arm[:, 2])
        sinking = self.velocity[:, 2] + (self.spin[:, 0] * arm[:, 1] - self.spin[:, 1] * arm[:, 0])
        for n in np.flatnonzero((depth > 0) & (sinking < 0)):
            # a body that hardly falls any more comes to rest instead of trembling
            bounce = self.restitution if sinking[n] < -0.5 else 0.0
            self._bounce(int(n), arm[n], bounce)
            self._turning = None
            if not is_ball[n]:
                # rolling resistance: what rocks from corner to corner comes to rest
                self.spin[n] *= 1 - 6.0 * dt
        self.centre[:, 2] += np.maximum(depth, 0.0)

    def _bounce(self, n: int, arm: Array, bounce: float) -> None:
        """Impulse of the ground on body n at `arm` from its middle."""
        # plain numbers: for single vectors numpy takes ten times as long
        mass, inertia = float(self.mass[n]), float(self.inertia[n])
        point: Vector = tuple(arm.tolist())
        speed, spin = self.velocity[n].tolist(), self.spin[n].tolist()
        x, y, approach = (v + w for v, w in zip(speed, _cross(spin, point), strict=True))
        push = -(1 + bounce) * approach * _effective_mass(mass, inertia, point, (0.0, 0.0, 1.0))
        total = (0.0, 0.0, push)
        slip = _length((x, y, 0.0))
        if slip > 1e-6:
            along = (x / slip, y / slip, 0.0)
            # enough to stop the slip, but no more than Coulomb allows
            hold = min(self.friction * push, slip * _effective_mass(mass, inertia, point, along))
            total = (-hold * along[0], -hold * along[1], push)
        self.velocity[n] = [v + t / mass for v, t in zip(speed, total, strict=True)]
        self.spin[n] = [w + t / inertia for w, t in zip(spin, _cross(point, total), strict=True)]

    def _hit_each_other(self) -> None:
        offset = self.centre[None] - self.centre[:, None]
        distance = np.sqrt((offset * offset).sum(axis=2))
        touch = distance < self._touching
        if not touch.any():
            return
        for one, other in zip(*np.nonzero(touch), strict=True):
            normal = offset[one, other] / max(float(distance[one, other]), 1e-9)
            closing = float((self.velocity[one] - self.velocity[other]) @ normal)
            share = self.mass[other] / (self.mass[one] + self.mass[other])
            overlap = self._touching[one, other] - distance[one, other]
            self.centre[one] -= share * overlap * normal
            self.centre[other] += (1 - share) * overlap * normal
            if closing > 0:
                push = (1 + self.restitution) * closing / (1 / self.mass[one] + 1 / self.mass[other])
                self.velocity[one] -= push / self.mass[one] * normal
                self.velocity[other] += push / self.mass[other] * normal


def _effective_mass(mass: float, inertia: float, arm: Vector, direction: Vector) -> float:
    lever = np.array(_cross(arm, direction))
    return 1.0 / float(1 / mass + lever @ lever / inertia)


def _length(vector: Vector) -> float:
    values = np.array(vector)
    return math.sqrt(float(values @ values))


def _cross(a: Sequence[float], b: Sequence[float]) -> Vector:
    ax, ay, az = a
    bx, by, bz = b
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


def rotation_by(angles: Array) -> Array:
    """Turns (N, 3, 3) by rotation vectors (N, 3) in radians (Rodrigues)."""
    angle = np.sqrt((angles * angles).sum(axis=1))[:, None, None]
    axis = angles / np.maximum(angle[:, :, 0], 1e-12)
    cross = np.zeros((len(angles), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    cross -= cross.transpose(0, 2, 1)
    turns: Array = _SAME + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turns
