"""The image motion of what stands still, in a real and a generated video, by one estimator on frames made alike.

Each frame is cut into cells; the flow of a cell without objects and with texture in both videos is what the camera's
motion makes of it. The difference between the two videos' flow is fitted by an affine field, robustly: single cells are
wrong often, the camera moves all of them. No focal length and no pose is needed, and none can fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.estimators import anchored, band
from drivereplay.evaluation.footage import Footage

Array = NDArray[np.float64]
CELL_PX = 8
"""Side of a cell, in pixels of the frames that are compared."""
LEVELS = 45.0
"""Standard deviation that frames are given before they are rounded to bytes for the flow."""
LEAST_TEXTURE = 1.0
"""Mean gradient, in grey levels of the real video, under which a cell shows no motion."""
LEAST_CELLS, LEAST_SHARE = 8, 0.1
"""Cells that a fit needs; share of the real video's usable cells that the generated one has to show too."""
SCALE_PX, ROUNDS, MOST_TRUST = 0.4, 8, 2.0
SETTINGS = {
    **band.SETTINGS,
    "background": f"DIS at half resolution, cells of {CELL_PX} px without objects, affine, Cauchy {SCALE_PX} px",
    "texture": LEAST_TEXTURE,
}


@dataclass(frozen=True)
class Background:
    """Motion of the background in F steps, each into a future frame, as affine fields on a grid of C cells.

    Attributes:
        real: (F, C, 2) in pixels of the frames that are compared, NaN in steps that show too little.
        difference: (F, C, 2) generated less real; NaN where the generated video shows too little.
        diagonal_px: Diagonal of those frames.
    """

    real: Array
    difference: Array
    diagonal_px: float


def common_flow(real: Footage, generated: Footage) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Flow (F, h, w, 2) into each future frame of both videos, from frames that were made alike."""

    def make() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        first, second = band.common(real, generated)
        if second is first:
            flow = _flow(_bytes(first, first), real.context)
            return flow, flow
        return _flow(_bytes(first, first), real.context), _flow(_bytes(second, first), real.context)

    return generated.estimate("common_flow", make)


def background(real: Footage, generated: Footage) -> Background:
    """Motion of the background in both videos."""
    return generated.estimate("background", lambda: _fitted(real, generated))


def _bytes(frames: band.Frames, like: band.Frames) -> NDArray[np.uint8]:
    gain = LEVELS / max(float(like.std((1, 2)).mean()), 1.0)
    centred = (frames - like.mean((1, 2), keepdims=True)) * gain
    return np.clip(np.rint(centred + 128), 0, 255).astype(np.uint8)


def _flow(frames: NDArray[np.uint8], context: int) -> NDArray[np.float32]:
    # cells are far larger than a pixel: on this ladder half resolution was no worse than full, and less led by noise
    solver = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)  # type: ignore[attr-defined]
    solver.setFinestScale(1)
    still = np.zeros((*frames.shape[1:], 2), np.float32)
    pairs = zip(frames[context - 1 :], frames[context:], strict=False)
    return np.stack([still if np.array_equal(a, b) else solver.calc(a, b, None) for a, b in pairs])


def _fitted(real: Footage, generated: Footage) -> Background:
    flows = common_flow(real, generated)
    shown, made = band.common(real, generated)
    free = _free(real, generated, shown.shape[1:])
    places = _places(shown.shape[1:])
    basis = np.column_stack([np.ones(len(places)), places])
    steps = len(flows[0])
    first, second = np.full((2, steps, len(places), 2), np.nan)
    for t in range(steps):
        frame = real.context + t - 1
        texture = _texture(shown[frame], shown[frame + 1])
        usable = (texture >= LEAST_TEXTURE) & (free[t] > 0.5)
        if usable.sum() < LEAST_CELLS:
            usable = texture >= LEAST_TEXTURE
        if usable.sum() < LEAST_CELLS:
            continue
        cells = _cells(flows[0][t])
        first[t] = basis @ robust(basis[usable], cells[usable], texture[usable])
        if made is not shown:
            texture = np.minimum(texture, _texture(made[frame], made[frame + 1]))
        both = usable & (texture >= LEAST_TEXTURE)
        if both.sum() >= max(LEAST_CELLS, LEAST_SHARE * usable.sum()):
            second[t] = basis @ robust(basis[both], (_cells(flows[1][t]) - cells)[both], texture[both])
    return Background(first, second, float(np.hypot(*shown.shape[1:])))


def robust(basis: Array, values: Array, texture: Array) -> Array:
    """Coefficients (P, 2) of values (K, 2) in a basis (K, P), with weights from texture (K,) and Cauchy weights."""
    trust = np.minimum(texture / np.median(texture), MOST_TRUST) ** 2
    weights = trust
    for _ in range(ROUNDS):
        root = np.sqrt(weights)[:, None]
        found = np.linalg.lstsq(basis * root, values * root, rcond=None)[0]
        error = np.linalg.norm(values - basis @ found, axis=1)
        weights = trust / (1 + (error / max(SCALE_PX, 1.48 * float(np.median(error)))) ** 2)
    return np.asarray(found)


def _free(real: Footage, generated: Footage, shape: tuple[int, ...]) -> Array:
    """Share (F, C) of each cell, in the frame that a step starts from, without a known object in either video."""
    known = real.annotations
    steps = len(real.future)
    if known is None:
        return np.ones((steps, len(_places(shape))))
    scale = band.working_scale(real.frames.shape)
    boxes = known.boxes_px[real.context - 1 : -1].astype(np.float64)
    found = np.concatenate([boxes[:1], anchored.tracks(real, generated)[:-1]])
    masks = np.ones((steps, *shape), np.float32)
    for mask, here in zip(masks, np.concatenate([boxes, found], axis=1) * scale, strict=True):
        for x1, y1, x2, y2 in here[np.isfinite(here).all(-1)]:
            mask[max(int(y1) - 1, 0) : int(y2) + 2, max(int(x1) - 1, 0) : int(x2) + 2] = 0
    return np.stack([_cells(mask) for mask in masks])


def _places(shape: tuple[int, ...]) -> Array:
    """Middles (C, 2) of the cells, −1 to 1 over the longer side."""
    rows, columns = shape[0] // CELL_PX, shape[1] // CELL_PX
    ys, xs = np.mgrid[:rows, :columns] + 0.5
    both = np.stack([xs * CELL_PX - shape[1] / 2, ys * CELL_PX - shape[0] / 2], axis=-1)
    return np.asarray(both.reshape(-1, 2) / (max(shape) / 2))


def _cells(image: NDArray[np.floating]) -> Array:
    """Mean (C, ...) of an image (h, w, ...) in each cell."""
    rows, columns = image.shape[0] // CELL_PX, image.shape[1] // CELL_PX
    cut = image[: rows * CELL_PX, : columns * CELL_PX]
    cut = cut.reshape(rows, CELL_PX, columns, CELL_PX, *image.shape[2:])
    return np.asarray(cut.mean((1, 3), dtype=np.float64).reshape(rows * columns, *image.shape[2:]))


def _texture(first: NDArray[np.float32], second: NDArray[np.float32]) -> Array:
    """Mean gradient (C,) of each cell that both frames have."""
    return _cells(np.minimum(_gradient(first), _gradient(second)))


def _gradient(frame: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.hypot(cv2.Sobel(frame, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(frame, cv2.CV_32F, 0, 1, scale=1 / 8))
