"""Where the real video's objects are in a generated one, found by what they look like.

Each object's look is anchored: the template for a frame is the object as the real video shows it there, and not what
the tracker saw a frame before, so that a tracker cannot drift onto the road and call it the object. It is looked for
around its real place, and around where it was found last, in a few sizes, by normalised correlation of frames brought
to one contrast and band (`estimators.band`). Where nothing looks enough like it the object is lost, until something
does again: no box is ever extrapolated.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import centres, real_tracks
from drivereplay.evaluation.estimators import band
from drivereplay.evaluation.footage import Footage

Array = NDArray[np.float64]
Frame = NDArray[np.float32]
LEAST_ALIKE = 0.6
"""Least correlation with the anchored look of a box that shows the object."""
NEAR, FAR = 0.08, 0.3
"""Share of the diagonal that is searched around the real place: `NEAR` and as far as it was off a frame before, at
most `FAR`."""
AWAY = 1.0
"""Correlation that a place loses for a diagonal of distance from where the object was looked for."""
SCALES, SCALE_COST = (0.82, 1.0, 1.22), 0.03
LEAST_PX = 8
"""Templates are at least so long on each side, in pixels of the frames that are compared."""
FLOOR_LEVELS = 1.5
"""Standard deviation that is added to a patch's own: what is flat to that degree shows nothing."""
SETTINGS = {
    **band.SETTINGS,
    "tracker": f"anchored to the real look of each frame, correlation ≥ {LEAST_ALIKE}, scales {SCALES}",
    "searched": f"{NEAR} diagonals and as far as it was off, at most {FAR}",
}


def tracks(real: Footage, generated: Footage) -> Array:
    """Boxes (F, N, 4) in the future frames of the generated video; NaN where an object is lost or not asked for.

    The objects and frames asked for are those of `boxes.real_tracks`.
    """
    if generated is real:
        return real_tracks(real)
    return generated.estimate("anchored_tracks", lambda: _found(real, generated))


def _found(real: Footage, generated: Footage) -> Array:
    true = real_tracks(real)
    scale = band.working_scale(real.frames.shape)
    shown, made = band.common(real, generated)
    diagonal = float(np.hypot(*shown.shape[1:]))
    found = np.full(true.shape, np.nan)
    off = np.zeros((true.shape[1], 2))
    for t in range(len(true)):
        frame, other = shown[real.context + t], made[real.context + t]
        for n in np.flatnonzero(np.isfinite(true[t]).all(-1)):
            match = _match(frame, other, true[t, n] * scale, off[n], diagonal)
            if match is not None:
                off[n], size = match[:2], match[2]
                half = (true[t, n, 2:] - true[t, n, :2]) / 2 * size
                middle = centres(true[t, n]) + off[n] / scale
                found[t, n] = np.concatenate([middle - half, middle + half])
    return found


def _match(frame: Frame, other: Frame, box: Array, off: Array, diagonal: float) -> Array | None:
    """Offset (x, y) and size, relative to the real box, of what looks like the object; None where nothing does."""
    x1, y1, x2, y2 = _template_box(box, frame.shape)
    if min(x2 - x1, y2 - y1) < LEAST_PX / 2:
        return None
    template = frame[y1:y2, x1:x2]
    reach = int(np.ceil(min(NEAR * diagonal + float(np.abs(off).max()), FAR * diagonal)))
    left, top = max(x1 - reach, 0), max(y1 - reach, 0)
    area = other[top : y2 + reach, left : x2 + reach]
    best, result = -np.inf, None
    for size in SCALES:
        patch = template if size == 1 else _resized(template, size)
        if patch.shape[0] > area.shape[0] or patch.shape[1] > area.shape[1]:
            continue
        alike = _alike(area, patch)
        # offset of the patch's middle from the template's, for each place
        xs = left + np.arange(alike.shape[1]) + patch.shape[1] / 2 - (x1 + x2) / 2
        ys = top + np.arange(alike.shape[0]) + patch.shape[0] / 2 - (y1 + y2) / 2
        away = np.hypot(xs[None] - off[0], ys[:, None] - off[1]) / diagonal
        score = np.where(alike >= LEAST_ALIKE, alike - AWAY * away - (SCALE_COST if size != 1 else 0), -np.inf)
        row, column = divmod(int(score.argmax()), score.shape[1])
        if score[row, column] > best:
            best = float(score[row, column])
            x, y = xs[column] + _peak(alike[row], column), ys[row] + _peak(alike[:, column], row)
            result = np.array([x, y, size])
    return result


def _template_box(box: Array, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole-pixel box, at least `LEAST_PX` long on each side, inside the frame."""
    middle, half = centres(box), np.maximum((box[2:] - box[:2]) / 2, LEAST_PX / 2)
    low = np.maximum(np.rint(middle - half), 0).astype(int)
    high = np.minimum(np.rint(middle + half), (shape[1], shape[0])).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _resized(template: Frame, size: float) -> Frame:
    height, width = (max(round(side * size), 3) for side in template.shape)
    return np.asarray(cv2.resize(template, (width, height), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _alike(area: Frame, patch: Frame) -> NDArray[np.float32]:
    """Normalised correlation of the patch with each place in the area; both deviations are raised by the floor."""
    count = patch.size
    centred = patch - patch.mean()
    product = cv2.matchTemplate(area, centred, cv2.TM_CCORR) / count
    mean = cv2.boxFilter(area, cv2.CV_32F, patch.shape[::-1], anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    square = cv2.boxFilter(area * area, cv2.CV_32F, patch.shape[::-1], anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    rows, columns = product.shape
    variance = np.maximum(square[:rows, :columns] - mean[:rows, :columns] ** 2, 0)
    own = float(centred.var())
    return np.asarray(product / np.sqrt((variance + FLOOR_LEVELS**2) * (own + FLOOR_LEVELS**2)), dtype=np.float32)


def _peak(values: NDArray[np.float32], at: int) -> float:
    """Place of the maximum between samples, by a parabola through the three around it."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = (float(v) for v in values[at - 1 : at + 2])
    curve = before - 2 * here + after
    return float(np.clip((before - after) / (2 * curve), -0.5, 0.5)) if curve < 0 else 0.0
