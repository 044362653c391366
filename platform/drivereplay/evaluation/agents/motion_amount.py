"""How much the objects move against the camera's motion, compared with the real ones."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric
from drivereplay.evaluation.motion.amount import MotionAmount, object_amount


class AgentsMotionAmount(ClipMetric):
    """ln(generated / real) of the mean length of flow inside the real objects, the dominant motion taken out of both.

    Signed: −0.7 means that the objects move half as much as they should. The region is that of `agents.flow_epe`.
    """

    name = "agents.motion_amount"
    unit = "ln ratio"
    direction = "max"
    signed = True
    horizon = False
    settings: ClassVar = {**MotionAmount.settings, "region": "as agents.flow_epe"}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        return object_amount(real, generated)
