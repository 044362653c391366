"""How things move: along paths, on legs, in a car's body on its springs."""

from __future__ import annotations

import bisect
import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.bodies import HIP_M
from drivereplay.domains.worlds.camera import Camera, view_rotation
from drivereplay.domains.worlds.scene import headings

Array = NDArray[np.float64]

STRIDE_M = 1.5
"""Length of two steps of a walking person."""


@dataclass(frozen=True)
class Path:
    """A line on the ground.

    Attributes:
        points: (n, 2) metres.
        lengths: (n,) distance along the line.
        directions: (n,) heading in radians, unwrapped.
    """

    points: Array
    lengths: Array
    directions: Array

    @classmethod
    def through(cls, points: Array) -> Path:
        """A path through dense points."""
        steps = np.diff(points, axis=0)
        lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=1))])
        middle = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        # headings belong to points, not to the steps between them
        directions = np.concatenate([[middle[0]], (middle[1:] + middle[:-1]) / 2, [middle[-1]]])
        return cls(points, lengths, directions)

    @classmethod
    def bends(cls, start: tuple[float, float], heading_rad: float, parts: list[tuple[float, float]]) -> Path:
        """A path of arcs: (length in metres, turn in radians) each; a turn of 0 is a straight."""
        steps, turns = [], []
        for length, turn in parts:
            # a straight needs no points inside, but a short last step that keeps the bend after it out of its heading
            count = max(1, round(length / 0.5))
            lengths = np.full(count, length / count) if turn or length <= 1.0 else np.array([0.5, length - 1.0, 0.5])
            steps.append(lengths)
            turns.append(np.full(len(lengths), turn / len(lengths)))
        step, bend = np.concatenate(steps), np.concatenate(turns)
        heading = heading_rad + np.cumsum(bend) - bend / 2
        points = np.cumsum(step[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
        return cls.through(np.concatenate([np.zeros((1, 2)), points]) + start)

    def at(self, along_m: Array, left_m: Array | float = 0.0) -> tuple[Array, Array]:
        """Places (..., 2) and headings (...) at distances along, shifted to the left; straight on beyond the ends."""
        inside = np.minimum(np.maximum(along_m, 0.0), self.lengths[-1])
        heading = np.interp(inside, self.lengths, self.directions)
        x = np.interp(inside, self.lengths, self.points[:, 0])
        y = np.interp(inside, self.lengths, self.points[:, 1])
        over = along_m - inside
        c, s = np.cos(heading), np.sin(heading)
        x = x + over * c - left_m * s
        places = np.empty((*x.shape, 2))
        places[..., 0], places[..., 1] = x, y + over * s + left_m * c
        return places, heading

    def spot(self, along_m: float, left_m: float) -> tuple[float, float, float]:
        """x, y and heading of one place: `at` in plain numbers, which takes a tenth of the time."""
        lengths, directions, xs, ys = self._lists
        inside = min(max(along_m, 0.0), lengths[-1])
        n = min(bisect.bisect_right(lengths, inside), len(lengths) - 1) - 1
        step, gone = lengths[n + 1] - lengths[n], inside - lengths[n]
        heading = (directions[n + 1] - directions[n]) / step * gone + directions[n]
        c, s, over = math.cos(heading), math.sin(heading), along_m - inside
        x, y = (xs[n + 1] - xs[n]) / step * gone + xs[n], (ys[n + 1] - ys[n]) / step * gone + ys[n]
        return x + over * c - left_m * s, y + over * s + left_m * c, heading

    @functools.cached_property
    def _lists(self) -> tuple[list[float], list[float], list[float], list[float]]:
        return self.lengths.tolist(), self.directions.tolist(), *self.points.T.tolist()


def smooth(share: Array | float) -> Array:
    """0 to 1 without a jerk at either end (quintic)."""
    t = np.minimum(np.maximum(share, 0.0), 1.0)
    result: Array = t * t * t * (t * (6 * t - 15) + 10)
    return result


def spring_pitch(acceleration: Array, step_s: float) -> Array:
    """Pitch (T,) in radians, nose up positive, of a car's body under forward accelerations (T,) in m/s².

    A damped oscillator (1.4 Hz, damping ratio .35) that settles at 0.7° nose down per 0.3 g of braking.
    """
    omega, damping, gain = 2 * np.pi * 1.4, 0.35, np.radians(0.7) / 2.94
    fine = max(1, int(np.ceil(step_s / 0.02)))
    dt = step_s / fine
    pitch, rate = gain * float(acceleration[0]), 0.0
    out = np.empty(len(acceleration))
    for t, value in enumerate(acceleration):
        out[t] = pitch
        for _ in range(fine):
            rate += dt * (omega**2 * (gain * float(value) - pitch) - 2 * damping * omega * rate)
            pitch += dt * rate
    return out


def place(
    rotations: Array, translations: Array, body: int, positions: Array, heading_rad: Array, height_m: float = 0.0
) -> None:
    """Put a body at places (T, 2) with headings (T,), in place."""
    translations[:, body, :2], translations[:, body, 2] = positions, height_m
    rotations[:, body] = headings(heading_rad)


def walk(rotations: Array, translations: Array, body: int, positions: Array, heading_rad: Array, phase: float) -> None:
    """Put a person at places (T, 2) with headings (T,), and swing both legs with the distance walked."""
    place(rotations, translations, body, positions, heading_rad)
    gone = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(positions, axis=0), axis=1))])
    pace = np.gradient(gone) if len(gone) > 1 else np.zeros(1)
    swing = 0.55 * np.sin(2 * np.pi * gone / STRIDE_M + phase) * (pace > 1e-4)
    turn = headings(heading_rad)
    for limb, side in ((body + 1, 1.0), (body + 2, -1.0)):
        c, s = np.cos(side * swing), np.sin(side * swing)
        about_y = np.zeros((len(swing), 3, 3))
        about_y[:, 0, 0], about_y[:, 0, 2], about_y[:, 2, 0], about_y[:, 2, 2], about_y[:, 1, 1] = c, s, -s, c, 1.0
        rotations[:, limb] = turn @ about_y
        translations[:, limb, :2], translations[:, limb, 2] = positions, HIP_M


def dash_cameras(
    positions: Array, heading_rad: Array, acceleration: Array, fps: float, size_px: tuple[int, int], focal_px: float,
    *, height_m: float = 1.4, down_rad: float = 0.0,
) -> tuple[Camera, ...]:  # fmt: skip
    """Cameras (T) behind the windscreen of a car, which pitches when it brakes.

    Args:
        positions: (T, 2) of the camera.
        heading_rad: (T,) of the car.
        acceleration: (T,) forward, m/s².
        fps: Frames per second.
        size_px: (width, height).
        focal_px: Focal length.
        height_m: Of the camera above the ground.
        down_rad: How far the camera looks down at rest.
    """
    pitch = spring_pitch(acceleration, 1 / fps)
    return tuple(
        Camera(
            view_rotation(float(heading), float(nose) - down_rad),
            # the camera sits about a metre and a half in front of the axis the body turns about
            np.array([*place, height_m + 1.5 * np.sin(nose)]),
            focal_px,
            (size_px[0] / 2, size_px[1] / 2),
            size_px,
        )
        for place, heading, nose in zip(positions, heading_rad, pitch, strict=True)
    )
