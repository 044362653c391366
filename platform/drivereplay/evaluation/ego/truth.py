"""The real camera's motion, from annotated poses where there are any, else estimated from the real frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.camera import CameraMotion, camera_motion, first_step
from drivereplay.evaluation.footage import Footage

Array = NDArray[np.float64]
RANDOM_DIRECTION_DEG = 90.0
"""Expected angle between a direction and a random one."""
RANDOM_ROTATION_DEG = float(np.degrees(np.pi / 2 + 2 / np.pi))
"""Expected angle of a random rotation (uniform on SO(3)): what a step without a pose costs."""
STILL_M = 0.05
"""Annotated displacements shorter than this have no direction that could be judged."""
TRUTH = {
    "truth": "annotated poses, else estimated from the real frames",
    "truth_failed": "steps without an estimated pose are left out",
    "failed_deg": {"direction": RANDOM_DIRECTION_DEG, "rotation": round(RANDOM_ROTATION_DEG, 1)},
    "standstill": "0 where both stand still, 90 where one does",
}
"""The truth's part of the protocol where it need not be annotated."""


def has_poses(real: Footage) -> bool:
    """Whether every frame's pose is annotated."""
    return real.annotations is not None and bool(np.isfinite(real.annotations.poses).all())


def real_steps(real: Footage) -> CameraMotion:
    """Motion of the real camera over the steps of `camera_motion`, however short; metres where poses are annotated.

    Steps are not `found` where the truth is estimated and the estimator told no pose.
    """
    if not has_poses(real):
        return camera_motion(real)
    assert real.annotations is not None
    poses = real.annotations.poses[first_step(real.context) :]
    steps = np.linalg.inv(poses[:-1]) @ poses[1:]
    lengths = np.linalg.norm(steps[:, :3, 3], axis=1)
    directions = steps[:, :3, 3] / np.maximum(lengths, 1e-12)[:, None]
    return CameraMotion(steps[:, :3, :3], directions, lengths, np.ones(len(steps), dtype=bool))


def real_motion(real: Footage) -> CameraMotion:
    """`real_steps` with directions that can be judged one by one: zero where an annotated step is under 5 cm."""
    motion = real_steps(real)
    if not has_poses(real):
        return motion
    return replace(motion, directions=np.where((motion.lengths >= STILL_M)[:, None], motion.directions, 0.0))


def future_steps(motion: CameraMotion, real: Footage) -> CameraMotion:
    """The steps that end in a future frame, (F, ...)."""
    last = slice(len(motion.found) - len(real.future), None)
    return CameraMotion(motion.rotations[last], motion.directions[last], motion.lengths[last], motion.found[last])


def trajectory(motion: CameraMotion, scale: float = 1.0) -> tuple[Array, Array]:
    """Positions (S + 1, 3) and orientations (S + 1, 3, 3) in the first camera's axes, the first at the origin."""
    positions, orientations = [np.zeros(3)], [np.eye(3)]
    for rotation, direction, length in zip(motion.rotations, motion.directions, motion.lengths, strict=True):
        positions.append(positions[-1] + orientations[-1] @ direction * length * scale)
        orientations.append(orientations[-1] @ rotation)
    return np.array(positions), np.array(orientations)


def angle_deg(rotations: Array) -> Array:
    """Rotation angle (...) in degrees of matrices (..., 3, 3)."""
    # from the skew part too: arccos alone cannot resolve angles under a thousandth of a degree
    skew = rotations - np.swapaxes(rotations, -1, -2)
    sine = np.sqrt(skew[..., 2, 1] ** 2 + skew[..., 0, 2] ** 2 + skew[..., 1, 0] ** 2) / 2
    cosine = (np.trace(rotations, axis1=-2, axis2=-1) - 1) / 2
    return np.asarray(np.degrees(np.arctan2(sine, cosine)))


def between_deg(a: Array, b: Array) -> Array:
    """Angle (...) in degrees between vectors (..., 3); 90 where one of them is zero, 0 where both are."""
    still_a, still_b = np.linalg.norm(a, axis=-1) < 1e-9, np.linalg.norm(b, axis=-1) < 1e-9
    dot = (a * b).sum(-1)
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), dot))
    return np.where(still_a & still_b, 0.0, np.where(still_a | still_b, RANDOM_DIRECTION_DEG, angle))
