"""Camera paths with known answers."""

from __future__ import annotations

import cv2
import numpy as np
from tests.evaluation.clips import annotations

from drivereplay.evaluation.camera import CameraMotion
from drivereplay.evaluation.footage import Footage


def motion(turn_deg: float = 0.0, length: float = 1.0, steps: int = 7, aside: float = 0.0) -> CameraMotion:
    """A camera that turns about its down axis by the same angle at each step, and moves ahead and aside."""
    rotation = cv2.Rodrigues(np.array([0.0, np.radians(turn_deg), 0.0]))[0]
    direction = np.array([aside, 0.0, 1.0]) / np.hypot(aside, 1)
    lengths = np.full(steps, length)
    return CameraMotion(np.tile(rotation, (steps, 1, 1)), np.tile(direction, (steps, 1)), lengths, np.ones(steps, bool))


def footage(true: CameraMotion, made: CameraMotion) -> tuple[Footage, Footage]:
    """Real footage with annotated poses of one motion, and generated footage whose estimate is the other; 8 frames."""
    pose, poses = np.eye(4), [np.eye(4)]
    for rotation, direction, length in zip(true.rotations, true.directions, true.lengths, strict=True):
        step = np.eye(4)
        step[:3, :3], step[:3, 3] = rotation, direction * length
        pose = pose @ step
        poses.append(pose)
    known = annotations(np.full((8, 1, 4), np.nan), poses=np.array(poses))
    real = Footage(np.zeros((8, 16, 16, 3), np.uint8), 2, 4.0, known)
    generated = real.with_frames(real.frames)
    generated.estimates["camera"] = made.packed()
    return real, generated
