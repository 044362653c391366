"""Where the objects are relative to the camera, in metres and degrees."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import RULE, centres, real_tracks
from drivereplay.evaluation.camera import intrinsics
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

Array = NDArray[np.float64]
LOST_RANGE, LOST_DEG = 1.0, 90.0
"""An object that is gone counts as off by its whole true range, and by 90°."""


def relative_positions(real: Footage, boxes: Array) -> Array:
    """Positions (F, N, 3) of objects in the camera's axes, from followed boxes (F, N, 4) alone.

    The bearing is the ray through the box's centre; the range is the true range in the last given frame times the ratio
    of the box's height there to its height now. NaN where the box is lost.
    """
    last = real.context - 1
    assert real.annotations is not None
    start = real.annotations.boxes_px[last].astype(np.float64)
    range_m = np.linalg.norm(_true(real)[last], axis=-1)
    height = boxes[..., 3] - boxes[..., 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        range_now = range_m * (start[:, 3] - start[:, 1]) / height
    middle = centres(boxes)
    rays = np.stack([_ray(middle[t], intrinsics(real, real.context + t)) for t in range(len(boxes))])
    # a box's centre is not the projection of the 3-D centre; what it is off by in the last given frame is taken out
    offset = _unit(_true(real)[last]) - _ray(centres(start), intrinsics(real, last))
    return _unit(rays + offset) * range_now[..., None]


def _true(real: Footage) -> Array:
    """True positions (T, N, 3) in the camera's axes: R_ego⁻¹ (X − X_ego)."""
    assert real.annotations is not None
    inverse = np.linalg.inv(real.annotations.poses)
    world = real.annotations.positions_m
    return np.asarray(np.einsum("tij,tnj->tni", inverse[:, :3, :3], world) + inverse[:, None, :3, 3])


def _ray(points: Array, camera: Array) -> Array:
    flat = (points - camera[:2, 2]) / np.array([camera[0, 0], camera[1, 1]])
    return _unit(np.concatenate([flat, np.ones((*flat.shape[:-1], 1))], axis=-1))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _compared(real: Footage, generated: Footage) -> tuple[Array, Array, NDArray[np.bool_]]:
    """True and found positions (F, N, 3), and where there is something to compare (F, N).

    An object whose position in the last given frame is unknown has no range to start from and is not asked for.
    """
    found = relative_positions(real, anchored.tracks(real, generated))
    whole = _true(real)
    true, placed = whole[real.context :], np.isfinite(whole[real.context - 1]).all(-1)
    asked = np.asarray(np.isfinite(real_tracks(real)).all(-1) & np.isfinite(true).all(-1) & placed)
    return true, found, asked


def _mean(values: Array, asked: NDArray[np.bool_]) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(asked, values, 0).sum(1) / asked.sum(1))


_SETTINGS = {
    **anchored.SETTINGS,
    **RULE,
    "range": "from box height",
    "lost": "whole range, 90 deg",
    "asked": "where placed in the last given frame",
}
_NEEDS = frozenset({"boxes", "poses", "positions"})


class RelativePose(ClipMetric):
    """Distance in metres between true and found R_ego⁻¹(X_j − X_ego), found from the followed box; lost: the range."""

    name = "agents.relative_pose"
    auc = (0.8, float("nan"))
    unit = "m"
    direction = "min"
    needs = _NEEDS
    settings: ClassVar = _SETTINGS

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, found, asked = _compared(real, generated)
        error, whole = np.linalg.norm(true - found, axis=-1), LOST_RANGE * np.linalg.norm(true, axis=-1)
        return _mean(np.where(np.isfinite(error), np.minimum(error, whole), whole), asked)


class RelativeRange(ClipMetric):
    """Difference in metres between true and found range of an object, found from the followed box's height."""

    name = "agents.relative_range"
    auc = (0.72, float("nan"))
    unit = "m"
    direction = "min"
    needs = _NEEDS
    settings: ClassVar = _SETTINGS

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, found, asked = _compared(real, generated)
        whole = LOST_RANGE * np.linalg.norm(true, axis=-1)
        error = np.abs(np.linalg.norm(true, axis=-1) - np.linalg.norm(found, axis=-1))
        return _mean(np.where(np.isfinite(error), np.minimum(error, whole), whole), asked)


class RelativeBearing(ClipMetric):
    """Angle in degrees between the true direction to an object and the one found from the followed box."""

    name = "agents.relative_bearing"
    auc = (0.94, float("nan"))
    unit = "deg"
    direction = "min"
    needs = _NEEDS
    settings: ClassVar = _SETTINGS

    def curve(self, real: Footage, generated: Footage) -> Array:
        true, found, asked = _compared(real, generated)
        cosine = (_unit(true) * _unit(found)).sum(-1)
        error = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        return _mean(np.where(np.isfinite(error), np.minimum(error, LOST_DEG), LOST_DEG), asked)
