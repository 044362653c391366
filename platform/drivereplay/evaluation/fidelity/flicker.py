"""Flicker relative to the real future."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

FLOOR = 0.5
"""Grey levels added on both sides, so that a still real clip gives no infinite ratio."""


class Flicker(ClipMetric):
    """|ln(L_generated / L_real)|, L the mean change of luma per step after motion compensation: 0 is as calm as real.

    A self-consistency figure of each video, so that a frozen video has L = 0 and is far from a real one that changes.
    """

    name = "fidelity.flicker"
    unit = "|ln ratio|"
    direction = "min"
    settings: ClassVar = {"flow": flow.SETTINGS["flow"], "floor": FLOOR}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return np.abs(np.log((_change(generated) + FLOOR) / (_change(real) + FLOOR)))


def _change(footage: Footage) -> NDArray[np.float64]:
    """Mean absolute luma difference (F,) between each future frame, brought back along the flow, and the one before."""

    def make() -> NDArray[np.float64]:
        grey = footage.grey[footage.context - 1 :]
        steps = zip(grey[:-1], grey[1:], flow.future_flow(footage), strict=True)
        return np.array([np.abs(flow.warp(b, f).astype(np.int16) - a).mean() for a, b, f in steps])

    return footage.estimate("luma_change", make)
