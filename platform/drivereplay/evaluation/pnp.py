"""How the camera moves where depth is known: corners with their depths against where they are found again."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import camera
from drivereplay.evaluation.footage import Footage

Array = NDArray[np.float64]
REPROJECTION_PX = 1.0
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
    points = np.column_stack([here[kept], np.ones(kept.sum())]) * depth[kept, None]
    cv2.setRNGSeed(0)
    solved, turn, shift, inliers = cv2.solvePnPRansac(
        points, there[kept], np.eye(3), None, reprojectionError=REPROJECTION_PX / matrix[0, 0], iterationsCount=200
    )
    if not solved or inliers is None or len(inliers) < camera.LEAST_POINTS // 2:
        return None
    chosen = inliers.ravel()
    turn, shift = cv2.solvePnPRefineLM(points[chosen], there[kept][chosen], np.eye(3), None, turn, shift)
    rotation = np.asarray(cv2.Rodrigues(turn)[0], dtype=np.float64)
    # OpenCV gives x_there = R x_here + t; the pose of the next camera in this one is its inverse
    return rotation.T, -rotation.T @ np.asarray(shift, dtype=np.float64).ravel()
