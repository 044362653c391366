"""How the camera moves from frame to frame, estimated from the pictures alone.

Corners are tracked by Lucas-Kanade with a forward-backward check, boxes of moving objects are masked out, an essential
matrix is fitted by RANSAC (MAGSAC), and rotation and direction are refined on the Sampson distance with a robust loss.
Lengths of steps follow from depths of corners seen in three frames, up to one factor for the clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage

SETTINGS = {
    "camera": "Shi-Tomasi, Lucas-Kanade 15 px, half-pixel centres, essential matrix MAGSAC 0.5 px, Sampson refinement",
    "chosen": "most points in front of both cameras, then the lower cost",
    "failed": "random rotation and direction",
    "masked": f"annotated objects: {anchored.SETTINGS['tracker']}",
    "intrinsics": "annotated, else focal length self-calibrated on the real video, 0.9 widths where it does not tell",
}
CORNERS, WINDOW_PX, BACK_PX, SCALE_PX = 400, 15, 0.3, 0.25
MOST_POINTS, ITERATIONS, DIFFERENCE = 200, 10, 1e-6
LEAST_POINTS = 20
LEAST_IN_FRONT = 0.1
"""A pose is as good as another in this respect when no more than this share of points fewer lies in front."""
FOCAL_WIDTHS = (0.55, 0.7, 0.9, 1.15, 1.5)
"""Focal lengths, in widths of the frame, that are tried where none is annotated; the middle one stands for doubt."""
FOCAL_PAIRS, FOCAL_GAIN = 4, 0.06
"""Pairs of frames that are tried; share of the cost that another focal length than the middle one has to save."""
STILL_PX = 0.15
"""Median displacement beyond the rotation's under which the camera counts as standing still."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CameraMotion:
    """Motion of the camera over S steps, the last S + 1 frames of a clip.

    Attributes:
        rotations: (S, 3, 3) and
        directions: (S, 3), the pose of each next camera in the one before it; directions of unit length, zero where the
            camera stands still.
        lengths: (S,) lengths of the steps in units of the first one that moves; that of the last step that moved where
            nothing tells them, such as after a stop.
        found: (S,) False where nothing is known: no rotation and no direction stand there, which no metric may use.
    """

    rotations: Array
    directions: Array
    lengths: Array
    found: NDArray[np.bool_]

    def packed(self) -> Array:
        """(S, 14), for the cache."""
        flat = [self.rotations.reshape(-1, 9), self.directions, self.lengths[:, None], self.found[:, None]]
        return np.concatenate(flat, axis=1)

    @classmethod
    def of(cls, packed: Array) -> CameraMotion:
        """What `packed` gave."""
        return cls(packed[:, :9].reshape(-1, 3, 3), packed[:, 9:12], packed[:, 12], packed[:, 13] > 0.5)


def camera_motion(footage: Footage) -> CameraMotion:
    """Motion over the steps from the last-but-one context frame (the last, where there is only one) to the end."""
    return CameraMotion.of(footage.estimate("camera", lambda: _estimated(footage).packed()))


def first_step(context: int) -> int:
    """The frame in which the first step of `camera_motion` starts."""
    return max(context - 2, 0)


def intrinsics(footage: Footage, frame: int) -> Array:
    """Camera matrix (3, 3) of a frame: the annotated one, or that of the real video by self-calibration."""
    known = footage.annotations
    if known is not None and np.isfinite(known.intrinsics_px[frame]).all():
        return known.intrinsics_px[frame]
    real = footage if footage.real is None else footage.real
    return assumed(real, float(real.estimate("focal_widths", lambda: np.array(_calibrated(real)))))


def assumed(footage: Footage, widths: float) -> Array:
    """Camera matrix with a focal length of so many widths and the principal point in the middle."""
    height, width = footage.frames.shape[1:3]
    return np.array([[widths * width, 0, width / 2], [0, widths * width, height / 2], [0, 0, 1.0]])


def _calibrated(real: Footage) -> float:
    """Focal length in widths with which the real video's motion fits epipolar geometry best.

    A camera that drives straight ahead tells little of its focal length: only a clear gain moves it from the middle.
    """
    apart = min(2, len(real.frames) - 1)
    steps = np.unique(np.linspace(0, len(real.frames) - 1 - apart, FOCAL_PAIRS).astype(int))
    costs = np.zeros(len(FOCAL_WIDTHS))
    for t in steps:
        points = corners(real.grey[t], np.full(real.grey.shape[1:], 255, np.uint8))
        for n, widths in enumerate(FOCAL_WIDTHS):
            matrix = assumed(real, widths)
            here, there = tracked(real.grey[t], real.grey[t + apart], points, matrix)
            kept = np.isfinite(there).all(-1)
            fit = _best_pose(here[kept], there[kept], 1 / matrix[0, 0]) if kept.sum() >= LEAST_POINTS else None
            costs[n] += 0.0 if fit is None else fit[2]
    middle, best = len(FOCAL_WIDTHS) // 2, int(costs.argmin())
    return FOCAL_WIDTHS[best if costs[best] < (1 - FOCAL_GAIN) * costs[middle] else middle]


def _estimated(footage: Footage) -> CameraMotion:
    steps = range(first_step(footage.context), len(footage.frames) - 1)
    rotations, directions, found, lengths = [], [], [], []
    before: tuple[Array, Array, float] | None = None
    for t in steps:
        camera = intrinsics(footage, t)
        points = corners(footage.grey[t], free_of_objects(footage, t))
        here, there = tracked(footage.grey[t], footage.grey[t + 1], points, camera)
        solved = step_between(here, there, 1 / camera[0, 0])
        rotation, direction = solved if solved is not None else (np.eye(3), np.zeros(3))
        length = 1.0
        if before is not None and direction.any():
            length = before[2]
            if solved is not None and before[1].any():
                length *= _length_ratio(footage, t, (points, here, there), (rotation, direction), before[:2])
        rotations.append(rotation)
        directions.append(direction)
        found.append(solved is not None)
        lengths.append(length if direction.any() else 0.0)
        if direction.any():
            before = rotation, direction, length
        elif before is not None:
            # depths from a pose of an earlier step would not fit the next one: only the length lasts over a stop
            before = rotation, direction, before[2]
    return CameraMotion(np.array(rotations), np.array(directions), np.array(lengths), np.array(found))


def free_of_objects(footage: Footage, frame: int) -> NDArray[np.uint8]:
    """Mask (H, W), 255 where no known object is; in a generated future the objects are where they are found in it."""
    height, width = footage.frames.shape[1:3]
    mask = np.full((height, width), 255, dtype=np.uint8)
    if footage.annotations is None or footage.pseudo:
        return mask
    boxes = footage.annotations.boxes_px[frame]
    if footage.real is not None and frame >= footage.context:
        boxes = anchored.tracks(footage.real, footage)[frame - footage.context]
    for box in boxes[np.isfinite(boxes).all(-1)]:
        x1, y1, x2, y2 = np.clip(box, 0, (width, height, width, height))
        mask[int(y1) : int(np.ceil(y2)) + 1, int(x1) : int(np.ceil(x2)) + 1] = 0
    # a picture that is nothing but objects still has to be judged
    return mask if (mask > 0).mean() > 0.2 else np.full_like(mask, 255)


def corners(grey: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Corner points (K, 2)."""
    apart = max(2.0, np.sqrt(grey.size / CORNERS) / 2)
    points = cv2.goodFeaturesToTrack(grey, CORNERS, 0.003, apart, mask=mask, blockSize=5)
    return np.empty((0, 2), np.float32) if points is None else np.asarray(points, np.float32).reshape(-1, 2)


def tracked(
    first: NDArray[np.uint8], second: NDArray[np.uint8], points: NDArray[np.float32], camera: Array
) -> tuple[Array, Array]:
    """Corners that can be found again, in normalised coordinates of both frames, (K, 2) each; NaN rows where lost."""
    if not len(points):
        return np.empty((0, 2)), np.empty((0, 2))
    start = points.reshape(-1, 1, 2)
    options = (WINDOW_PX, WINDOW_PX), 3, (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.005)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first, second, start, start.copy(), winSize=options[0], maxLevel=options[1], criteria=options[2]
    )
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        second, first, moved, start.copy(), winSize=options[0], maxLevel=options[1], criteria=options[2]
    )
    error = np.linalg.norm(np.asarray(back).reshape(-1, 2) - points, axis=1)
    kept = (np.asarray(found).ravel() == 1) & (np.asarray(found_back).ravel() == 1) & (error < BACK_PX)
    here, there = _normalised(points, camera), _normalised(np.asarray(moved).reshape(-1, 2), camera)
    return here, np.where(kept[:, None], there, np.nan)


def _normalised(points: NDArray[np.float32], camera: Array) -> Array:
    # OpenCV counts from the middle of the first pixel, camera matrices from the picture's corner
    return (points + 0.5 - camera[:2, 2]) / np.array([camera[0, 0], camera[1, 1]])


def step_between(here: Array, there: Array, pixel: float) -> tuple[Array, Array] | None:
    """Rotation and direction of the next camera in this one from matched points, or None where it cannot be told.

    Args:
        pixel: Size of a pixel in normalised coordinates.
    """
    kept = np.isfinite(there).all(-1)
    here, there = here[kept], there[kept]
    if len(here) < LEAST_POINTS:
        return None
    still = _rotation_only(here, there)
    if np.median(np.linalg.norm(_rotated(here, still) - there, axis=1)) < STILL_PX * pixel:
        return still.T, np.zeros(3)
    # OpenCV gives x_there = R x_here + t; the pose of the next camera in this one is its inverse
    rotation, translation, _ = _best_pose(here, there, pixel, still)
    return rotation.T, -rotation.T @ translation


def _best_pose(here: Array, there: Array, pixel: float, still: Array | None = None) -> tuple[Array, Array, float]:
    """Rotation, direction and cost of the pose that has most points in front of both cameras, and then the least cost.

    Of an essential matrix's two rotations one is twisted by 180° about the direction: its Sampson cost is the same, and
    by chance a little lower after refinement, but no point lies in front of both cameras.
    """
    still = _rotation_only(here, there) if still is None else still
    starts = [(still, np.array([0.0, 0.0, -1.0]))]
    cv2.setRNGSeed(0)
    essential, _ = cv2.findEssentialMat(here, there, np.eye(3), cv2.USAC_MAGSAC, 0.9999, 0.5 * pixel)
    if essential is not None and essential.shape == (3, 3):
        _, rotation, translation, _ = cv2.recoverPose(essential, here, there, np.eye(3))
        starts.append((rotation, translation.ravel()))
    fits = [_refined(here, there, *start, pixel) for start in starts]
    fits = [(r, sign * t, cost) for r, t, cost in fits for sign in (1, -1)]
    front = np.array([_in_front(here, there, r, t) for r, t, _ in fits]) / len(here)
    return min((fit for fit, f in zip(fits, front, strict=True) if f >= front.max() - LEAST_IN_FRONT), key=_cost_of)


def _cost_of(fit: tuple[Array, Array, float]) -> float:
    return fit[2]


def _rotation_only(here: Array, there: Array) -> Array:
    """Rotation with there ≈ R here (Kabsch on the viewing rays, twice, the second time without the worse half)."""
    a, b = _rays(here), _rays(there)
    rotation = np.eye(3)
    kept = np.ones(len(a), dtype=bool)
    for _ in range(2):
        u, _, vt = np.linalg.svd(b[kept].T @ a[kept])
        rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
        error = np.linalg.norm(b - a @ rotation.T, axis=1)
        kept = error <= np.median(error)
    return rotation


def _rays(points: Array) -> Array:
    rays = np.column_stack([points, np.ones(len(points))])
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _rotated(points: Array, rotation: Array) -> Array:
    rays = np.column_stack([points, np.ones(len(points))]) @ rotation.T
    return rays[:, :2] / rays[:, 2:]


def _refined(
    here: Array, there: Array, rotation: Array, translation: Array, pixel: float
) -> tuple[Array, Array, float]:
    """The pose with the smallest robust Sampson distance near a start, and that cost.

    Gauss-Newton with the weights of a Cauchy loss on the five parameters: a turn about three axes, and the direction's
    shift in its tangent plane.
    """
    if len(here) > MOST_POINTS:
        chosen = np.linspace(0, len(here) - 1, MOST_POINTS).astype(int)
        here, there = here[chosen], there[chosen]
    x = np.column_stack([here, np.ones(len(here))])
    y = np.column_stack([there, np.ones(len(there))])
    residual = _sampson(x, y, _essential(rotation, translation)[None], pixel)[0]
    cost = _cost(residual)
    for _ in range(ITERATIONS):
        basis = _tangent(translation)
        shifted = [_turned(rotation, translation, basis, shift) for shift in DIFFERENCE * np.eye(5)]
        moved = _sampson(x, y, np.array([_essential(*pose) for pose in shifted]), pixel)
        jacobian = (moved - residual).T / DIFFERENCE
        weighted = jacobian * (1 / (1 + (residual / SCALE_PX) ** 2))[:, None]
        step: Array = np.linalg.solve(jacobian.T @ weighted + 1e-9 * np.eye(5), -weighted.T @ residual)
        candidate = _turned(rotation, translation, basis, step)
        remaining = _sampson(x, y, _essential(*candidate)[None], pixel)[0]
        improved = _cost(remaining)
        if not improved < cost:
            break
        (rotation, translation), residual, gain, cost = candidate, remaining, cost - improved, improved
        if gain < 1e-3 * cost:
            break
    return rotation, translation, cost


def _tangent(direction: Array) -> Array:
    """Two unit vectors (2, 3) at right angles to a unit vector and to each other."""
    first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first /= np.sqrt(first @ first)
    return np.array([first, np.cross(direction, first)])


def _turned(rotation: Array, translation: Array, basis: Array, step: Array) -> tuple[Array, Array]:
    moved = translation + step[3:] @ basis
    turn: Array = np.asarray(cv2.Rodrigues(step[:3])[0], dtype=np.float64)
    return turn @ rotation, moved / np.sqrt(moved @ moved)


def _essential(rotation: Array, translation: Array) -> Array:
    """[t]× R."""
    t = translation
    cross = np.array([[0.0, -t[2], t[1]], [t[2], 0.0, -t[0]], [-t[1], t[0], 0.0]])
    return np.asarray(cross @ rotation)


def _cost(distances: Array) -> float:
    return float(np.log1p((distances / SCALE_PX) ** 2).mean())


def _sampson(x: Array, y: Array, essential: Array, pixel: float) -> Array:
    """Signed Sampson distances (P, K) in pixels of matched homogeneous points (K, 3) under P essential matrices."""
    line_y, line_x = x @ np.swapaxes(essential, 1, 2), y @ essential
    square = line_y[..., 0] ** 2 + line_y[..., 1] ** 2 + line_x[..., 0] ** 2 + line_x[..., 1] ** 2
    return np.asarray(np.einsum("kc,pkc->pk", y, line_y) / np.sqrt(np.maximum(square, 1e-24)) / pixel)


def depths_in_steps(here: Array, there: Array, rotation: Array, translation: Array) -> Array:
    """Depths (K,) in the first camera of points with y ~ R x + t, in units of |t|."""
    x = np.column_stack([here, np.ones(len(here))]) @ rotation.T
    y = np.column_stack([there, np.ones(len(there))])
    # y × (z R x + t) = 0, solved for z
    a, b = np.cross(y, x), -np.cross(y, np.broadcast_to(translation, y.shape))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(1) / (a * a).sum(1))


def _in_front(here: Array, there: Array, rotation: Array, translation: Array) -> int:
    """How many points lie in front of both cameras."""
    depths = depths_in_steps(here, there, rotation, translation)
    in_second = depths * (np.column_stack([here, np.ones(len(here))]) @ rotation[2]) + translation[2]
    return int(((depths > 0) & (in_second > 0)).sum())


def _length_ratio(
    footage: Footage,
    frame: int,
    seen: tuple[NDArray[np.float32], Array, Array],
    step: tuple[Array, Array],
    before: tuple[Array, Array],
) -> float:
    """Length of the step out of `frame` over that of the step into it, from corners seen in the three frames.

    Args:
        seen: Corners of `frame` in pixels, and normalised there and in the next frame.
    """
    points, here, after = seen
    camera = intrinsics(footage, frame)
    _, earlier = tracked(footage.grey[frame], footage.grey[frame - 1], points, camera)
    both = np.isfinite(after).all(-1) & np.isfinite(earlier).all(-1) if len(points) else np.zeros(0, bool)
    if both.sum() < LEAST_POINTS:
        return 1.0
    # the step's pose (R, t) maps next to here; x_next = Rᵀ x_here − Rᵀ t
    ahead = depths_in_steps(here[both], after[both], step[0].T, -step[0].T @ step[1])
    behind = depths_in_steps(here[both], earlier[both], before[0], before[1])
    usable = (ahead > 0.5) & (behind > 0.5) & (ahead < 100) & (behind < 100)
    return float(np.clip(np.median(behind[usable] / ahead[usable]), 0.2, 5.0)) if usable.sum() >= 8 else 1.0
