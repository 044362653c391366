"""How much moves in the generated video, against the real one."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.agents.flow_epe import object_regions
from drivereplay.evaluation.estimators.background import SETTINGS, common_flow
from drivereplay.evaluation.estimators.band import working_scale
from drivereplay.evaluation.flow import dominant_motion
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

FLOOR = 0.0005
"""Mean length of flow, as a share of the diagonal, that counts as standing still; added to both sides of the ratio."""


def amount(real: Footage, generated: Footage) -> NDArray[np.float64]:
    """ln(generated / real) of the mean length of flow over the future, in the last of (F,); frames are made alike."""
    true, made = (np.linalg.norm(flow, axis=-1).mean((1, 2)) for flow in common_flow(real, generated))
    return _ratio(true, made, real)


def object_amount(real: Footage, generated: Footage) -> NDArray[np.float64]:
    """The same inside the real objects, after each video's own dominant motion has been taken out; NaN without objects.

    The object region is that of `agents.flow_epe`.
    """
    lengths = []
    for flows in common_flow(real, generated):
        rest = np.stack([np.linalg.norm(flow - dominant_motion(flow), axis=-1) for flow in flows])
        size = rest.shape[:0:-1]
        regions = [cv2.resize(r.astype(np.float32), size, interpolation=cv2.INTER_AREA) for r in object_regions(real)]
        total = np.array([region.sum() for region in regions])
        with np.errstate(invalid="ignore", divide="ignore"):
            lengths.append(np.array([(a * b).sum() for a, b in zip(rest, regions, strict=True)]) / total)
    return _ratio(lengths[0], lengths[1], real)


def _ratio(true: NDArray[np.float64], made: NDArray[np.float64], real: Footage) -> NDArray[np.float64]:
    floor = FLOOR * real.diagonal_px * working_scale(real.frames.shape)
    curve = np.full(len(true), np.nan)
    known = np.isfinite(true) & np.isfinite(made)
    if known.any():
        curve[-1] = np.log((made[known].mean() + floor) / (true[known].mean() + floor))
    return curve


class MotionAmount(ClipMetric):
    """ln(generated / real) of the mean length of optical flow: 0 is as much motion as real, −0.7 half of it.

    Signed, so that a model that hardly moves after fine-tuning shows below zero; `motion.amount_error` is its absolute
    value, for objectives. Frames are brought to one contrast and band first. To both lengths .05 % of the diagonal is
    added: less than that counts as a still scene.
    """

    name = "motion.amount"
    unit = "ln ratio"
    direction = "max"
    signed = True
    horizon = False
    settings: ClassVar = {**SETTINGS, "floor": FLOOR}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return amount(real, generated)


class MotionAmountError(ClipMetric):
    """|ln(generated / real)| of the mean length of optical flow over the future; 0 is as much motion as real."""

    name = "motion.amount_error"
    unit = "|ln ratio|"
    direction = "min"
    horizon = False
    settings: ClassVar = MotionAmount.settings

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return np.abs(amount(real, generated))
