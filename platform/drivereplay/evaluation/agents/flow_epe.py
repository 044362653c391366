"""Motion of the objects against the dominant motion."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation import flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric

MOVING_SHARE = 0.1
"""Share of the picture that stands for the objects where nothing is annotated."""


class FlowEpe(ClipMetric):
    """End-point error of optical flow inside the real objects, with the dominant motion taken out of both videos.

    For each step into a future frame, flow F and its dominant affine motion D are estimated in the real and in the
    generated video, each by itself; the figure is the mean over the object region of |(F_r − D_r) − (F_g − D_g)|, so
    that a model cannot win by reproducing the dominant motion. The object region is the union of the annotated boxes
    of visible objects in the earlier frame of the step. Where a clip has no annotations it is the tenth of the real
    picture's pixels that moves most against its dominant motion. An annotated clip without an object in a step has no
    figure for it.
    """

    name = "agents.flow_epe"
    unit = "px/frame"
    direction = "min"
    settings: ClassVar = {**flow.SETTINGS, "region": "boxes, else the tenth that moves most", "share": MOVING_SHARE}

    def curve(self, real: Footage, generated: Footage) -> NDArray[np.float64]:
        error = np.linalg.norm(flow.residual_flow(real) - flow.residual_flow(generated), axis=-1)
        regions = object_regions(real)
        return np.array(
            [e[m].mean() if m.any() else np.nan for e, m in zip(error, regions, strict=True)], dtype=np.float64
        )


def object_regions(real: Footage) -> NDArray[np.bool_]:
    """Where the objects are in the frame before each future frame, (F, H, W)."""

    def make() -> NDArray[np.bool_]:
        if real.annotations is None or real.pseudo:
            magnitude = np.linalg.norm(flow.residual_flow(real), axis=-1)
            return magnitude >= np.quantile(magnitude, 1 - MOVING_SHARE, axis=(1, 2), keepdims=True)
        height, width = real.frames.shape[1:3]
        regions = np.zeros((len(real.future), height, width), dtype=bool)
        for step in range(len(regions)):
            frame = real.context - 1 + step
            for box, seen in zip(real.annotations.boxes_px[frame], real.annotations.visible[frame], strict=True):
                if seen > 0 and np.isfinite(box).all():
                    x1, y1, x2, y2 = np.clip(box, 0, (width, height, width, height))
                    regions[step, int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = True
        return regions

    return real.estimate("object_regions", make)
