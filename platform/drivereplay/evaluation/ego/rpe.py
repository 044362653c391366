"""Relative pose error of the camera, and how often no pose can be told.

Where the truth is estimated from the real frames and no pose can be told of a real step, the figures that need it are
NaN. A step of the generated video without a pose costs what a random one does on average, and no less than the clip's
worst step that has one: "no rotation, straight ahead" would be a good guess on roads.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import camera
from drivereplay.evaluation.ego.truth import (
    RANDOM_DIRECTION_DEG,
    RANDOM_ROTATION_DEG,
    STILL_M,
    TRUTH,
    angle_deg,
    between_deg,
    future_steps,
    has_poses,
    real_motion,
    real_steps,
    trajectory,
)
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

Array = NDArray[np.float64]
_SECOND = {**camera.SETTINGS, **TRUTH, "delta": "1 s", "shorter_clips": "left out"}


class RpeRotation(ClipMetric):
    """Rotation angle of E_i = (Q_i⁻¹Q_{i+1})⁻¹(P_i⁻¹P_{i+1}) from each frame to the next (Sturm et al., IROS 2012)."""

    name = "ego.rpe_rotation"
    auc = (0.49, 0.66)
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, **TRUTH, "delta": "1 frame"}

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = _steps(real, generated)
        error = angle_deg(np.swapaxes(true.rotations, 1, 2) @ made.rotations)
        return with_failures(error, true.found, made.found, RANDOM_ROTATION_DEG)


class RpeTranslation(ClipMetric):
    """Angle between the directions of the real and the generated camera's step from each frame to the next.

    The length of a step cannot be told from one camera. Where one of the two stands still (under 5 cm where the truth
    is annotated) the step counts 90°, where both do 0°.
    """

    name = "ego.rpe_translation"
    auc = (0.72, 0.56)
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, **TRUTH, "delta": "1 frame"}

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = _steps(real, generated)
        error = between_deg(true.directions, made.directions)
        return with_failures(error, true.found, made.found, RANDOM_DIRECTION_DEG)


class _OverSecond(ClipMetric):
    """An angle between the real and the generated motion over the second that ends in each future frame."""

    unit = "deg"
    direction = "min"
    failed_deg: ClassVar[float]
    """What a second without a pose costs at least."""

    def refuses(self, real: Footage) -> str | None:
        frames, second = len(real.future), _second(real)
        return None if frames >= second else f"a second is {second} frames, the clips have {frames} future ones"

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = future_steps(real_steps(real), real), future_steps(camera.camera_motion(generated), real)
        paths = trajectory(true), trajectory(made)
        curve = np.full(len(true.found), np.nan)
        delta = _second(real)
        known, found = np.zeros((2, len(curve)), dtype=bool)
        for end in range(delta, len(curve) + 1):
            known[end - 1], found[end - 1] = (m.found[end - delta : end].all() for m in (true, made))
            if known[end - 1]:
                curve[end - 1] = self.angle_deg(real, *(_moved(*path, end - delta, end) for path in paths))
        return with_failures(curve, known & np.isfinite(curve), found, self.failed_deg)

    @abstractmethod
    def angle_deg(self, real: Footage, true: tuple[Array, Array], made: tuple[Array, Array]) -> float:
        """The angle between two motions, each a rotation (3, 3) and a displacement (3,) in its first camera's axes."""


class RpeRotationSecond(_OverSecond):
    """Rotation angle of E_i over one second: from the last given frame's second to each future frame."""

    name = "ego.rpe_rotation_1s"
    auc = (0.53, 0.56)
    failed_deg = RANDOM_ROTATION_DEG
    settings: ClassVar = _SECOND

    def angle_deg(self, real: Footage, true: tuple[Array, Array], made: tuple[Array, Array]) -> float:
        return float(angle_deg(true[0].T @ made[0]))


class RpeTranslationSecond(_OverSecond):
    """Angle between the directions of the real and the generated camera's displacement over one second.

    Seconds in which the real camera gets no further than 5 cm have no direction and do not count.
    """

    name = "ego.rpe_translation_1s"
    auc = (0.65, 0.6)
    failed_deg = RANDOM_DIRECTION_DEG
    settings: ClassVar = {**_SECOND, "lengths": "kept over stops", "true_steps": "all"}

    def angle_deg(self, real: Footage, true: tuple[Array, Array], made: tuple[Array, Array]) -> float:
        if has_poses(real) and np.linalg.norm(true[1]) < STILL_M:
            return float("nan")
        return float(between_deg(true[1], made[1]))


class EgoFailureRate(ClipMetric):
    """Share of steps for which no camera pose can be told from the generated frames."""

    name = "ego.failure_rate"
    one_sided = True
    auc = (0.49, 0.44)
    unit = "share"
    direction = "min"
    settings: ClassVar = camera.SETTINGS

    def curve(self, real: Footage, generated: Footage) -> Array:
        return (~future_steps(camera.camera_motion(generated), real).found).astype(np.float64)


def with_failures(error: Array, known: NDArray[np.bool_], found: NDArray[np.bool_], least: float) -> Array:
    """Errors (F,) with NaN where the truth is not known, and a cost where it is but nothing was found.

    The cost is `least`, or the worst error of the clip that was found where that is more.
    """
    successful = error[known & found]
    return np.where(known, np.where(found, error, max([least, *successful.tolist()])), np.nan)


def _steps(real: Footage, generated: Footage) -> tuple[camera.CameraMotion, camera.CameraMotion]:
    return future_steps(real_motion(real), real), future_steps(camera.camera_motion(generated), real)


def _second(real: Footage) -> int:
    """One second in frames."""
    return max(1, round(real.fps))


def _moved(positions: Array, axes: Array, start: int, end: int) -> tuple[Array, Array]:
    """Rotation (3, 3) and displacement (3,) from one frame of a path to another, in the first one's axes."""
    return axes[start].T @ axes[end], axes[start].T @ (positions[end] - positions[start])
