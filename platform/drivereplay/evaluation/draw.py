"""What the estimators saw: a real and a generated clip side by side, with boxes, tracks and flow drawn on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import centres, real_tracks
from drivereplay.evaluation.estimators import anchored
from drivereplay.evaluation.flow import residual_flow
from drivereplay.evaluation.footage import Footage

HEIGHT = 240
"""Height in pixels that small clips are enlarged to, by whole factors."""
REAL, FOLLOWED, ARROW = (60, 200, 110), (255, 150, 40), (90, 190, 255)
LEAST_ARROW_PX = 0.4


def side_by_side(real: Footage, generated: Footage) -> NDArray[np.uint8]:
    """Frames (T, H, 2W + gap, 3): the real clip on the left, the generated one on the right.

    Green boxes are the real objects, orange ones where it is found in the generated video, with its track; blue arrows
    are the motion that remains once the dominant one is taken out. Given frames have a grey bar on top.
    """
    factor = max(1, round(HEIGHT / real.frames.shape[1]))
    true, found = _boxes(real, generated)
    frames = []
    for t in range(len(real.frames)):
        left, right = (_enlarged(f.frames[t], factor) for f in (real, generated))
        if t >= real.context:
            step = t - real.context
            _arrows(left, residual_flow(real)[step], factor)
            _arrows(right, residual_flow(generated)[step], factor)
            _rectangles(left, true[step], factor, REAL)
            _rectangles(right, true[step], factor, REAL)
            _rectangles(right, found[step], factor, FOLLOWED)
            _paths(right, found[: step + 1], factor)
        else:
            for side in (left, right):
                side[:4] = 128
        frames.append(np.concatenate([left, np.full((len(left), 6, 3), 255, np.uint8), right], axis=1))
    return np.stack(frames)


def _boxes(real: Footage, generated: Footage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Real and followed boxes (F, N, 4); none where nothing is annotated."""
    if real.annotations is None:
        nothing = np.empty((len(real.future), 0, 4))
        return nothing, nothing
    return real_tracks(real), anchored.tracks(real, generated)


def _enlarged(frame: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    size = (frame.shape[1] * factor, frame.shape[0] * factor)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_NEAREST)).copy()


def _rectangles(
    picture: NDArray[np.uint8], boxes: NDArray[np.float64], factor: int, colour: tuple[int, int, int]
) -> None:
    for box in boxes[np.isfinite(boxes).all(-1)]:
        x1, y1, x2, y2 = (int(v * factor) for v in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)


def _paths(picture: NDArray[np.uint8], boxes: NDArray[np.float64], factor: int) -> None:
    middle = centres(boxes) * factor
    for path in middle.transpose(1, 0, 2):
        known = path[np.isfinite(path).all(-1)].astype(np.int32)
        if len(known) > 1:
            cv2.polylines(picture, [known.reshape(-1, 1, 2)], False, FOLLOWED, 1)


def _arrows(picture: NDArray[np.uint8], flow: NDArray[np.float32], factor: int) -> None:
    height, width = flow.shape[:2]
    step = max(4, height // 12)
    for y in range(step // 2, height, step):
        for x in range(step // 2, width, step):
            dx, dy = flow[y, x]
            if np.hypot(dx, dy) >= LEAST_ARROW_PX:
                start = (int(x * factor), int(y * factor))
                end = (int((x + dx) * factor), int((y + dy) * factor))
                cv2.arrowedLine(picture, start, end, ARROW, 1, tipLength=0.3)
