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
    that the affine part of the dominant motion cannot win it. What an affine field does not hold stays in: near the
    road most of the flow of driving ahead does (see `flow.dominant_motion`), so that a wrong speed of the camera costs
    there too. The object region is the union of the annotated boxes of visible objects in the earlier frame of the
    step. Where a clip's own annotations hold no box it is the tenth of the real picture's pixels that moves most
    against its dominant motion, whatever other metrics are asked for. A clip with boxes, but none in a step, has no
    figure for that step.
    """

    name = "agents.flow_epe"
    auc = (0.84, 0.82)
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
        if not real.has_own_boxes:
            magnitude = np.linalg.norm(flow.residual_flow(real), axis=-1)
            return magnitude >= np.quantile(magnitude, 1 - MOVING_SHARE, axis=(1, 2), keepdims=True)
        assert real.annotations is not None
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
