"""Error of the camera's path."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import camera
from drivereplay.evaluation.ego.truth import real_steps, trajectory
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

Array = NDArray[np.float64]
PATH = {**camera.SETTINGS, "lengths": "kept over stops", "true_steps": "all", "failed_step": "the true one, backwards"}
"""The protocol of what all figures of the path rest on."""
LEAST_SPREAD = 0.05
"""A path whose second largest extent is under this share of its largest is too straight for a Umeyama alignment."""


def umeyama(source: Array, target: Array, *, scaled: bool = True) -> tuple[float, Array, Array]:
    """c, R, t with target ≈ c R source + t in least squares (Umeyama, PAMI 1991), for points (N, D).

    R = U S Vᵀ of the covariance U D Vᵀ, c = tr(D S) / σ², t = μ_y − c R μ_x; S undoes a reflection.
    """
    mean_source, mean_target = source.mean(0), target.mean(0)
    x, y = source - mean_source, target - mean_target
    u, d, vt = np.linalg.svd(y.T @ x / len(x))
    sign = np.ones(len(d))
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        sign[-1] = -1
    rotation = u @ np.diag(sign) @ vt
    variance = (x**2).sum() / len(x)
    scale = float((d * sign).sum() / variance) if scaled and variance > 0 else 1.0
    return scale, rotation, mean_target - scale * rotation @ mean_source


def paths(real: Footage, generated: Footage) -> tuple[Array, Array]:
    """Positions (F + 1, 3) in metres from the last given frame on, in that frame's axes.

    The last given camera is the same in both: the alignment "by first heading". The generated path's scale comes
    from the step between the last two given frames, whose true length is known; without a second given frame, or while
    the camera stands still there, from the first true step that moves. A generated step without a pose goes the true
    step backwards: no less wrong than anything a camera is likely to do.
    """
    true, made = real_steps(real), camera.camera_motion(generated)
    moving = np.flatnonzero((true.lengths > 0) & (made.lengths > 0))
    scale = float(true.lengths[moving[0]] / made.lengths[moving[0]]) if len(moving) else 1.0
    failed = ~made.found
    made = replace(
        made,
        directions=np.where(failed[:, None], -true.directions, made.directions),
        lengths=np.where(failed, true.lengths / scale, made.lengths),
    )
    true_positions, true_axes = trajectory(true)
    made_positions, made_axes = trajectory(made, scale)
    start = len(true.found) - len(real.future)
    a = (true_positions[start:] - true_positions[start]) @ true_axes[start]
    b = (made_positions[start:] - made_positions[start]) @ made_axes[start]
    return a, b


def fitted_scale(true: Array, made: Array) -> float:
    """The scale that brings the made path nearest to the true one in least squares; 1 where the made one is still.

    Never negative, so that a path that runs backwards is not turned round.
    """
    square = float((made**2).sum())
    return max(float((true * made).sum() / square), 0.0) if square > 1e-12 else 1.0


class EgoAde(ClipMetric):
    """Mean distance of camera positions in metres, same start and heading, scale from the last given step."""

    name = "ego.ade"
    auc = (0.81, float("nan"))
    unit = "m"
    direction = "min"
    needs = frozenset({"poses"})
    settings: ClassVar = {**PATH, "scale": "last given step", "align": "first heading"}

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = paths(real, generated)
        return np.asarray(np.linalg.norm(true - made, axis=1)[1:])


class EgoAdeScaled(ClipMetric):
    """Mean distance of camera positions in metres, same start and heading, scale fitted in least squares."""

    name = "ego.ade_scaled"
    auc = (0.59, float("nan"))
    unit = "m"
    direction = "min"
    needs = frozenset({"poses"})
    settings: ClassVar = {**PATH, "scale": "least squares", "align": "first heading"}

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = paths(real, generated)
        return np.asarray(np.linalg.norm(true - fitted_scale(true, made) * made, axis=1)[1:])


class EgoAte(ClipMetric):
    """Root mean square distance of camera positions in metres after Umeyama alignment with scale.

    A straight path leaves the rotation about itself undetermined; there the alignment is by first heading and
    least-squares scale instead.
    """

    name = "ego.ate"
    auc = (0.6, float("nan"))
    unit = "m"
    direction = "min"
    needs = frozenset({"poses"})
    horizon = False
    settings: ClassVar = {**PATH, "align": "Umeyama with scale, first heading if straight"}

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, made = paths(real, generated)
        extents = np.linalg.svd(true - true.mean(0), compute_uv=False)
        if extents[0] < 1e-9 or extents[1] < LEAST_SPREAD * extents[0]:
            aligned = fitted_scale(true, made) * made
        else:
            scale, rotation, shift = umeyama(made, true)
            aligned = scale * made @ rotation.T + shift
        curve = np.full(len(real.future), np.nan)
        curve[-1] = np.sqrt(((true - aligned) ** 2).sum(1).mean())
        return curve
