"""How the camera moves where depth is known: corners with their depths against where they are found again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import camera
from drivereplay.evaluation.footage import Footage

Array = NDArray[np.float64]
REPROJECTION_PX = 1.0
FARTHEST_STEPS = 100.0
"""A point farther off than so many steps says nothing of their length."""
NEAREST_M = 0.05
STILL_M = 0.01
"""Steps shorter than this have no direction."""


def motion_with_depth(footage: Footage, depths_m: NDArray[np.floating]) -> camera.CameraMotion:
    """Motion over the steps of `camera.camera_motion`, lengths in metres.

    Args:
        footage: The video; known objects are masked as they are there.
        depths_m: (T, H, W), distance along the optical axis in metres; not finite or not positive where unknown.

    Raises:
        ValueError: The depths are not of the video's shape.
    """
    if depths_m.shape != footage.frames.shape[:3]:
        raise ValueError(f"depths of shape {depths_m.shape} for frames of shape {footage.frames.shape[:3]}")
    rotations, directions, lengths, found = [], [], [], []
    for t in range(camera.first_step(footage.context), len(footage.frames) - 1):
        step = _step(footage, t, np.asarray(depths_m[t], dtype=np.float64))
        rotation, shift = step if step is not None else (np.eye(3), np.array([0.0, 0.0, 1.0]))
        length = float(np.linalg.norm(shift))
        rotations.append(rotation)
        directions.append(shift / length if length >= STILL_M else np.zeros(3))
        lengths.append(length if length >= STILL_M else 0.0)
        found.append(step is not None)
    return camera.CameraMotion(np.array(rotations), np.array(directions), np.array(lengths), np.array(found))


def _step(footage: Footage, t: int, depth_m: Array) -> tuple[Array, Array] | None:
    """Rotation and position of the next camera in this one, or None where too little can be told."""
    matrix = camera.intrinsics(footage, t)
    corners = camera.corners(footage.grey[t], camera.free_of_objects(footage, t))
    here, there = camera.tracked(footage.grey[t], footage.grey[t + 1], corners, matrix)
    if not len(corners):
        return None
    columns, rows = np.rint(corners).astype(int).T
    depth = depth_m[rows, columns]
    kept = np.isfinite(there).all(-1) & np.isfinite(depth) & (np.nan_to_num(depth) > 0)
    if kept.sum() < camera.LEAST_POINTS:
        return None
    here, there, depth = here[kept], there[kept], depth[kept]
    pixel = 1 / matrix[0, 0]
    points = np.column_stack([here, np.ones(len(here))]) * depth[:, None]
    starts = [s for s in (_consensus(points, there, pixel), _epipolar(here, there, depth, pixel)) if s is not None]
    if not starts:
        return None
    fits = [_refined(points, there, start, pixel) for start in starts]
    turn, shift = np.split(min(fits, key=lambda fit: fit[1])[0], 2)
    rotation = np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64)
    # x_there = R x_here + t; the pose of the next camera in this one is its inverse
    return rotation.T, -rotation.T @ shift


def _consensus(points: Array, there: Array, pixel: float) -> Array | None:
    """Rotation vector and shift (6,) that most points (K, 3) agree on."""
    cv2.setRNGSeed(0)
    solved, turn, shift, inliers = cv2.solvePnPRansac(
        points, there, np.eye(3), None, reprojectionError=REPROJECTION_PX * pixel, iterationsCount=200
    )
    if not solved or inliers is None or len(inliers) < camera.LEAST_POINTS // 2:
        return None
    return np.concatenate([np.ravel(turn), np.ravel(shift)])


def _epipolar(here: Array, there: Array, depth: Array, pixel: float) -> Array | None:
    """The same from the essential matrix; how far the step is say the depths, the nearer a point the louder."""
    motion = camera.step_between(here, there, pixel)
    if motion is None or not motion[1].any():
        return None
    rotation, unit = motion[0].T, -motion[0].T @ motion[1]
    in_steps = camera.depths_in_steps(here, there, rotation, unit)
    seen = np.isfinite(in_steps) & (in_steps > 0) & (in_steps < FARTHEST_STEPS)
    if not seen.any():
        return None
    lengths, weights = depth[seen] / in_steps[seen], 1 / in_steps[seen]
    order = np.argsort(lengths)
    middle = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return np.concatenate([np.ravel(cv2.Rodrigues(rotation)[0]), unit * lengths[order][middle]])


def _refined(points: Array, there: Array, start: Array, pixel: float) -> tuple[Array, float]:
    """The start, moved to where the reprojection errors are least, large ones damped (Cauchy); and what is left."""
    from scipy.optimize import least_squares

    def errors(motion: Array) -> Array:
        moved = points @ cv2.Rodrigues(motion[:3])[0].T + motion[3:]
        # a point that would come to lie behind the camera is as wrong as one can be
        ahead = np.where(moved[:, 2:] > NEAREST_M, moved[:, 2:], NEAREST_M)
        return np.asarray((moved[:, :2] / ahead - there).ravel() / pixel)

    found = least_squares(errors, start, loss="cauchy", f_scale=REPROJECTION_PX / 4, max_nfev=60)
    return np.asarray(found.x), float(found.cost)
