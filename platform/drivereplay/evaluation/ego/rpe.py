"""Relative pose error of the camera, and how often no pose can be told."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import camera
from drivereplay.evaluation.ego.truth import (
    angle_deg,
    between_deg,
    future_steps,
    real_motion,
    trajectory,
)
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

TRUTH = "annotated poses, else estimated from the real frames"


class RpeRotation(ClipMetric):
    """Rotation angle of E_i = (Q_i⁻¹Q_{i+1})⁻¹(P_i⁻¹P_{i+1}) from each frame to the next (Sturm et al., IROS 2012)."""

    name = "ego.rpe_rotation"
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, "truth": TRUTH, "delta": "1 frame"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true, made = _steps(real, generated)
        return angle_deg(np.swapaxes(true.rotations, 1, 2) @ made.rotations)


class RpeTranslation(ClipMetric):
    """Angle between the directions of the real and the generated camera's step from each frame to the next.

    The length of a step cannot be told from one camera. Steps in which the real camera stands still (under 5 cm)
    have no direction and do not count; a generated camera that stands still where the real one moves counts 90°.
    """

    name = "ego.rpe_translation"
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, "truth": TRUTH, "delta": "1 frame"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true, made = _steps(real, generated)
        return between_deg(true.directions, made.directions)


class RpeRotationSecond(ClipMetric):
    """Rotation angle of E_i over one second: from the last given frame's second to each future frame."""

    name = "ego.rpe_rotation_1s"
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, "truth": TRUTH, "delta": "1 s"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true, made, delta = _second(real, generated)
        curve = np.full(len(true[1]) - 1, np.nan)
        for end in range(delta, len(true[1])):
            a, b = (orientations[end - delta].T @ orientations[end] for _, orientations in (true, made))
            curve[end - 1] = angle_deg((a.T @ b)[None])[0]
        return curve


class RpeTranslationSecond(ClipMetric):
    """Angle between the directions of the real and the generated camera's displacement over one second."""

    name = "ego.rpe_translation_1s"
    unit = "deg"
    direction = "min"
    settings: ClassVar = {**camera.SETTINGS, "truth": TRUTH, "delta": "1 s"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        true, made, delta = _second(real, generated)
        curve = np.full(len(true[1]) - 1, np.nan)
        for end in range(delta, len(true[1])):
            start = end - delta
            a, b = (axes[start].T @ (positions[end] - positions[start]) for positions, axes in (true, made))
            curve[end - 1] = between_deg(a[None], b[None])[0]
        return curve


class EgoFailureRate(ClipMetric):
    """Share of steps for which no camera pose can be told from the generated frames (the fallback stands in)."""

    name = "ego.failure_rate"
    unit = "share"
    direction = "min"
    settings: ClassVar = camera.SETTINGS

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return (~future_steps(camera.camera_motion(generated), real).found).astype(np.float64)


def _steps(real: Footage, generated: Footage) -> tuple[camera.CameraMotion, camera.CameraMotion]:
    return future_steps(real_motion(real), real), future_steps(camera.camera_motion(generated), real)


Path = tuple[NDArray[np.float64], NDArray[np.float64]]


def _second(real: Footage, generated: Footage) -> tuple[Path, Path, int]:
    """Both trajectories from the last given frame on, and one second in frames (all there is, in shorter clips)."""
    true, made = _steps(real, generated)
    delta = min(max(1, round(real.fps)), len(real.future))
    return trajectory(true), trajectory(made), delta
