"""Known damage to real clips, in rising strength: what a metric is tested with before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import known_at_start
from drivereplay.evaluation.footage import Footage

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        kind: `looks` or `motion`.
        rungs: Strengths, rising.
        apply: (real clip, strength) → frames (T, H, W, 3) whose context is untouched.
        of_objects: Whether it needs to know where the objects are.
    """

    kind: str
    rungs: Sequence[float]
    apply: Callable[[Footage, float], Frames]
    of_objects: bool = False


def _each(change: Callable[[Frames, float, int], Frames]) -> Callable[[Footage, float], Frames]:
    """Damage of every future frame by itself."""

    def apply(real: Footage, strength: float) -> Frames:
        frames = real.frames.copy()
        for t in range(real.context, len(frames)):
            frames[t] = change(frames[t], strength, t)
        return frames

    return apply


def _blur(frame: Frames, sigma_px: float, t: int) -> Frames:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma_px), dtype=np.uint8)


def _noise(frame: Frames, sigma: float, t: int) -> Frames:
    noise = np.random.default_rng(t).normal(0, sigma, frame.shape)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def _jpeg(frame: Frames, loss: float, t: int) -> Frames:
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(100 - loss)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _colour(frame: Frames, shift: float, t: int) -> Frames:
    return np.clip(frame + np.array([shift, 0, -shift]), 0, 255).astype(np.uint8)


def _yaw(frame: Frames, px_per_step: float, t: int) -> Frames:
    matrix = np.array([[1.0, 0.0, px_per_step * t], [0.0, 1.0, 0.0]])
    size = (frame.shape[1], frame.shape[0])
    return np.asarray(cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE), dtype=np.uint8)


def _time_warp(real: Footage, strength: float) -> Frames:
    """The future runs slower by the given share."""
    steps = np.arange(1, len(real.future) + 1) * (1 - strength)
    chosen = real.context - 1 + np.floor(steps + 0.5).astype(int)
    return np.concatenate([real.frames[: real.context], real.frames[chosen]])


def _frozen(real: Footage, share: float) -> Frames:
    """The last share of the future repeats the frame before it."""
    frames = real.frames.copy()
    first = len(frames) - round(share * len(real.future))
    frames[first:] = frames[first - 1]
    return frames


def _reversed(real: Footage, share: float) -> Frames:
    """The last share of the future runs backwards."""
    frames = real.frames.copy()
    first = len(frames) - round(share * len(real.future))
    frames[first:] = frames[first:][::-1].copy()
    return frames


def _objects(real: Footage, t: int) -> list[tuple[int, int, int, int]]:
    """Whole-pixel boxes of the clear objects in a frame."""
    assert real.annotations is not None
    boxes = real.annotations.boxes_px[t][known_at_start(real)]
    return [(int(a), int(b), int(np.ceil(c)), int(np.ceil(d))) for a, b, c, d in boxes[np.isfinite(boxes).all(-1)]]


def _removed_frame(real: Footage, t: int) -> Frames:
    mask = np.zeros(real.frames.shape[1:3], np.uint8)
    for x1, y1, x2, y2 in _objects(real, t):
        mask[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1] = 255
    return np.asarray(cv2.inpaint(real.frames[t], mask, 3, cv2.INPAINT_TELEA), dtype=np.uint8)


def _object_removed(real: Footage, share: float) -> Frames:
    """Objects are painted over in the last share of the future."""
    frames = real.frames.copy()
    for t in range(len(frames) - round(share * len(real.future)), len(frames)):
        frames[t] = _removed_frame(real, t)
    return frames


def _object_shifted(real: Footage, diagonals: float) -> Frames:
    """Objects drift sideways, by the given share of the picture's diagonal in the last frame."""
    frames = real.frames.copy()
    width = frames.shape[2]
    for t in range(real.context, len(frames)):
        shift = round(diagonals * real.diagonal_px * (t - real.context + 1) / len(real.future))
        picture = _removed_frame(real, t)
        for x1, y1, x2, y2 in _objects(real, t):
            left, right = max(x1 + shift, 0), min(x2 + shift, width)
            if right > left:
                picture[y1:y2, left:right] = real.frames[t][y1:y2, left - shift : right - shift]
        frames[t] = picture
    return frames


def _object_swapped(real: Footage, share: float) -> Frames:
    """The two largest objects move towards each other's place, by the given share of the way in the last frame."""
    frames = real.frames.copy()
    height, width = frames.shape[1:3]
    assert real.annotations is not None
    boxes = real.annotations.boxes_px[real.context :].astype(np.float64)
    whole = np.isfinite(boxes).all((0, 2)) & known_at_start(real)
    area = np.where(whole, (boxes[0, :, 2:] - boxes[0, :, :2]).prod(-1), 0.0)
    pair = np.argsort(-area)[:2]
    if len(pair) < 2 or not whole[pair].all():
        return frames
    for t in range(real.context, len(frames)):
        now = boxes[t - real.context]
        moved = share * (t - real.context + 1) / len(boxes)
        picture = _removed_frame(real, t)
        # what is farther, with its lower edge higher, is painted first
        others = [n for n in np.flatnonzero(known_at_start(real)) if np.isfinite(now[n]).all()]
        for n in sorted(others, key=lambda n: now[n, 3]):
            place = now[n]
            if n in pair:
                place = (1 - moved) * now[n] + moved * now[pair[1] if n == pair[0] else pair[0]]
            x1, y1, x2, y2 = np.clip(now[n], 0, (width, height, width, height)).round().astype(int)
            left, top, right, bottom = np.clip(place, 0, (width, height, width, height)).round().astype(int)
            if min(x2 - x1, y2 - y1, right - left, bottom - top) > 0:
                patch = cv2.resize(real.frames[t, y1:y2, x1:x2], (int(right - left), int(bottom - top)))
                picture[top:bottom, left:right] = patch
        frames[t] = picture
    return frames


DAMAGES: Mapping[str, Damage] = {
    "blur": Damage("looks", (0.4, 0.8, 1.2, 2.0, 3.0), _each(_blur)),
    "noise": Damage("looks", (4, 8, 16, 32, 64), _each(_noise)),
    "jpeg": Damage("looks", (30, 60, 80, 90, 96), _each(_jpeg)),
    "colour": Damage("looks", (5, 10, 20, 40, 60), _each(_colour)),
    "time warp": Damage("motion", (0.15, 0.3, 0.45, 0.6, 0.8), _time_warp),
    "frozen": Damage("motion", (0.2, 0.4, 0.6, 0.8, 1.0), _frozen),
    "reversed": Damage("motion", (0.35, 0.5, 0.65, 0.8, 1.0), _reversed),
    "object shifted": Damage("motion", (0.02, 0.05, 0.1, 0.15, 0.2), _object_shifted, of_objects=True),
    "object removed": Damage("motion", (0.2, 0.4, 0.6, 0.8, 1.0), _object_removed, of_objects=True),
    "object swapped": Damage("motion", (0.1, 0.3, 0.5, 0.75, 1.0), _object_swapped, of_objects=True),
    "camera yaw": Damage("motion", (0.25, 0.5, 1.0, 1.5, 2.0), _each(_yaw)),
}
