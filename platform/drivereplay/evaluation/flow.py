"""Optical flow between neighbouring frames, and the dominant motion in it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage

SETTINGS = {
    "flow": "DIS fast to the finest scale; sides under 64 px doubled, without refinement",
    "dominant": "affine, RANSAC 1 px, 400 points",
}
MIN_SIDE_PX = 64
"""Smaller pictures are doubled until this side is reached: DIS's patches of 8 px would cover whole objects in them."""


def dense_flow(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """DIS flow (Kroeger et al., ECCV 2016) from `first` to `second`, grey (H, W) uint8 → (H, W, 2) in pixels."""
    height, width = first.shape
    if np.array_equal(first, second):
        # a frozen video: nothing moves, which the solver would take as long to say as anything else
        return np.zeros((height, width, 2), dtype=np.float32)
    factor = 1
    while min(height, width) * factor < MIN_SIDE_PX:
        factor *= 2
    if factor > 1:
        size = (width * factor, height * factor)
        first = cv2.resize(first, size, interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
        second = cv2.resize(second, size, interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    # the refinement of the other presets smooths over objects of a few pixels
    preset = cv2.DISOPTICAL_FLOW_PRESET_FAST if factor == 1 else cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST
    solver = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
    solver.setFinestScale(0)
    flow = solver.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), None)
    if factor > 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / factor
    return np.asarray(flow, dtype=np.float32)


def dominant_motion(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """The motion most of the picture follows: an affine field (H, W, 2) fitted to `flow` by RANSAC.

    It is not the camera's motion: driving ahead over a plane is not affine, so that the camera's speed is not taken out
    near the road (see docs/evaluation.md). Affine all the same: at the small sizes judged here the two more parameters
    of a homography are fitted to noise.
    Where no affine motion finds a majority (a blank picture), the median flow stands for it.
    """
    if not flow.any():
        return np.zeros_like(flow)
    height, width = flow.shape[:2]
    step = max(1, int(np.sqrt(height * width / 400)))
    ys, xs = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    points = np.stack([xs.ravel(), ys.ravel()], 1).astype(np.float32)
    moved = points + flow[ys.ravel(), xs.ravel()]
    cv2.setRNGSeed(0)
    matrix, _ = cv2.estimateAffine2D(points, moved, method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=500)
    if matrix is None or not np.isfinite(matrix).all():
        return np.broadcast_to(np.median(flow, axis=(0, 1)), flow.shape).astype(np.float32)
    grid_y, grid_x = np.mgrid[:height, :width].astype(np.float32)
    field = np.stack(
        [
            matrix[0, 0] * grid_x + matrix[0, 1] * grid_y + matrix[0, 2] - grid_x,
            matrix[1, 0] * grid_x + matrix[1, 1] * grid_y + matrix[1, 2] - grid_y,
        ],
        axis=-1,
    )
    return field.astype(np.float32)


def future_flow(footage: Footage) -> NDArray[np.float32]:
    """Flow (F, H, W, 2) into each future frame from the frame before it."""

    def make() -> NDArray[np.float32]:
        grey = footage.grey
        return np.stack([dense_flow(grey[t - 1], grey[t]) for t in range(footage.context, len(grey))])

    return footage.estimate("future_flow", make)


def residual_flow(footage: Footage) -> NDArray[np.float32]:
    """`future_flow` less its dominant motion, (F, H, W, 2): what moves against the camera's motion.

    Rounded to half precision (a thousandth of a pixel at one pixel), in which it is cached for real clips.
    """

    def make() -> NDArray[np.float16]:
        return np.stack([f - dominant_motion(f) for f in future_flow(footage)]).astype(np.float16)

    return footage.estimate("residual_flow", make).astype(np.float32)


def warp(frame: NDArray[np.uint8], offset: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`frame` sampled at x + offset(x), border pixels repeated."""
    height, width = frame.shape[:2]
    grid_y, grid_x = np.mgrid[:height, :width].astype(np.float32)
    warped = cv2.remap(
        frame, grid_x + offset[..., 0], grid_y + offset[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, dtype=np.uint8)
