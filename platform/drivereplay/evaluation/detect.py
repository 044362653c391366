"""Detectors behind one interface: what is seen in single frames, without knowing the clip."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.footage import Footage

THRESHOLD = 0.25
"""Least score of a detection that is kept."""
SURE = 0.6
"""Least score of a detection in the real video that stands for the truth."""
LARGEST_PX = 832
"""Longer side at most of the frames in which a detector looks for the truth: those of the real recording."""
SETTINGS = {"detector": "yolov4-tiny 416, COCO road users", "threshold": THRESHOLD, "truth_threshold": SURE}


class Detector(Protocol):
    """Anything that finds road users; a torchvision or Hugging Face detector needs this one method."""

    def detect(self, frames: NDArray[np.uint8], threshold: float) -> list[NDArray[np.float32]]:
        """For each frame (K, 6): x1 y1 x2 y2 in pixels, score, COCO class number."""


@cache
def default_detector() -> Detector:
    """YOLOv4-tiny with installed weights."""
    from drivereplay.evaluation.networks.yolo import YoloV4Tiny
    from drivereplay.evaluation.weights import load

    network = YoloV4Tiny()
    network.load_state_dict(load("yolov4-tiny"), strict=True)
    return network.eval().requires_grad_(False)


def detections(footage: Footage, detector: Detector | None = None) -> NDArray[np.float32]:
    """Detections in the future frames, (D, 7): future frame number, x1 y1 x2 y2, score, class."""

    def make() -> NDArray[np.float32]:
        found = (detector or default_detector()).detect(np.ascontiguousarray(footage.future), THRESHOLD)
        rows = [np.column_stack([np.full(len(boxes), t), boxes]) for t, boxes in enumerate(found)]
        return np.concatenate(rows).astype(np.float32) if rows else np.empty((0, 7), np.float32)

    return footage.estimate("detections", make)
