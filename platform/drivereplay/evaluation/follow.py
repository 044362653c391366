"""Following objects from their boxes in the last context frame through the future, without weights.

At each step several moves of a box are proposed, and the one that looks most like the object did a frame before is
taken: points tracked by Lucas-Kanade with a forward-backward check, once from where they are and once from where the
object's motion so far would bring them; dense DIS flow inside the box; and that motion by itself. A move is a robust
fit of a shift and a scale for each axis, the two scales drawn towards each other. Points under another object that is
followed and stands nearer (its lower edge is lower) are left out. Where nothing looks like the object, or nothing of it
can be seen, it goes on as it moved, and is lost when it stays unseen. The docs of the evaluation compare this with
templates, correlation filters, flow and point tracks by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.boxes import CLEAR, centres, known_at_start
from drivereplay.evaluation.flow import future_flow
from drivereplay.evaluation.footage import Footage

SETTINGS = {
    "follower": "Lucas-Kanade 7 px from rest and from the motion so far, DIS, the motion so far; best by correlation",
    "follower_fit": "shift and scale per axis, Cauchy, scales drawn together",
    "follower_light": "levelled where the mean changes by 8 grey levels",
    "follower_lost": "unseen for more than 5 frames or 3/4 out of the picture",
}
GRID, WINDOW_PX = 8, 7
BACK_PX = 0.15
"""Points are kept up to the median forward-backward error, or up to this where the median is smaller."""
TOGETHER_PX2 = 10.0
"""How strongly the scales of the two axes are drawn together: as so much variance of the points would."""
MOST_SCALE, LEAST_SCALE = 1.7, 0.7
LEAST_ALIKE, FIRST_ALIKE = 0.5, 0.05
"""Correlation under which a box does not show the object; what the first proposal has in advance."""
MOST_UNSEEN = 5
"""An object is lost when it stays unseen for more frames than these."""
LIGHT_LEVELS = 8.0
"""The light has changed where the mean of the frame has by more than so many grey levels."""
LEAST_INSIDE = 0.25
"""An object is lost when less of its box than this is inside the picture."""
PATCH = (24, 16)
"""Samples (across, down) of a box that are compared."""

Box = NDArray[np.float64]
Points = NDArray[np.float64]
Grey = NDArray[np.uint8]


def tracks(footage: Footage) -> NDArray[np.float64]:
    """Boxes (T, N, 4) of the clip's annotated objects as followed in this video; NaN where an object is lost.

    The start is each object's annotated box in the last context frame; earlier frames, and objects that are not clear
    enough there (`boxes.known_at_start`), stay NaN. Boxes are cut at the picture's edge, as annotated ones are.
    """
    return footage.estimate("tracks", lambda: _follow_all(footage))


@dataclass
class _Object:
    """An object that is being followed: its last boxes, newest last, and how long it has not been seen."""

    boxes: list[Box]
    unseen: int = 0
    grid: Points = field(default_factory=lambda: np.empty((0, 2)))

    @property
    def box(self) -> Box:
        return self.boxes[-1]

    @property
    def expected(self) -> Box:
        """The next box if the object goes on as it moved: an object that comes near at constant speed grows by a
        constant step of its inverse size."""
        if len(self.boxes) < 2:
            return self.box
        before, now = self.boxes[-2:]
        ratio = float(np.clip(np.sqrt((_sides(now) / _sides(before)).prod()), 0.8, 1.3))
        growth = float(np.clip(1 / max(2 - ratio, 0.6), 0.8, 1.5))
        middle = centres(now) + (centres(now) - centres(before)) * growth
        half = _sides(now) / 2 * growth
        return np.concatenate([middle - half, middle + half])


def _follow_all(footage: Footage) -> NDArray[np.float64]:
    assert footage.annotations is not None
    height, width = footage.frames.shape[1:3]
    known, last = footage.annotations.boxes_px.astype(np.float64), footage.context - 1
    boxes = np.full((len(footage.frames), *known.shape[1:]), np.nan)
    followed: dict[int, _Object] = {}
    for n in np.flatnonzero(known_at_start(footage)).tolist():
        boxes[last, n] = known[last, n]
        earlier = last > 0 and footage.annotations.visible[last - 1, n] >= CLEAR and np.isfinite(known[last - 1, n])
        followed[n] = _Object([known[last - 1, n], known[last, n]] if np.all(earlier) else [known[last, n]])
    for t in range(footage.context, len(footage.frames)):
        if not followed:
            break
        step = _Step(footage.grey[t - 1], footage.grey[t], future_flow(footage)[t - footage.context])
        step.move(list(followed.values()))
        for n, one in list(followed.items()):
            inside = np.clip(one.box, 0, (width, height, width, height))
            area = np.prod(np.maximum(_sides(inside), 0))
            if one.unseen > MOST_UNSEEN or area < LEAST_INSIDE * _sides(one.box).prod():
                del followed[n]
            else:
                boxes[t, n] = inside
    return boxes


@dataclass
class _Step:
    """One step from a frame to the next: grey frames (H, W) and the flow (H, W, 2) between them."""

    first: Grey
    second: Grey
    dense: NDArray[np.float32]

    def __post_init__(self) -> None:
        self._levelled = _levelled(self.first, self.second)

    def move(self, objects: list[_Object]) -> None:
        """Append to each object its box in the second frame."""
        for one in objects:
            one.grid = _seen_grid(one, objects, self.first.shape)
        cuts = np.cumsum([len(one.grid) for one in objects])[:-1]
        points = np.concatenate([one.grid for one in objects])
        expected = np.concatenate([_carried(one.grid, one.box, one.expected) for one in objects])
        ways = [self._tracked(points, points), self._tracked(points, expected)]
        dense = points + _sampled(self.dense, points)
        parts = [[np.split(array, cuts) for array in (*way, dense)] for way in ways]
        for n, one in enumerate(objects):
            found = [(part[0][n], part[1][n]) for part in parts]
            moved = self._best(one, found, parts[0][2][n]) if len(one.grid) >= 4 else None
            one.unseen = one.unseen + 1 if moved is None else 0
            one.boxes = [one.box, one.expected if moved is None else moved]

    def _tracked(self, points: Points, start: Points) -> tuple[Points, NDArray[np.float64]]:
        """Where points (K, 2) come to lie, looked for from `start` on; forward-backward errors (K,), NaN where lost."""
        moved, found = _lucas_kanade(self.first, self._levelled, points, start)
        back, found_back = _lucas_kanade(self._levelled, self.first, moved, moved + points - start)
        height, width = self.first.shape
        inside = ((moved >= 0) & (moved <= (width, height))).all(1)
        return moved, np.where(found & found_back & inside, np.linalg.norm(back - points, axis=1), np.nan)

    def _best(self, one: _Object, ways: list[tuple[Points, NDArray[np.float64]]], dense: Points) -> Box | None:
        """The proposed box that looks most like the object did, or None where none does."""
        proposed = []
        for moved, error in ways:
            known = np.isfinite(error)
            if known.sum() >= 4:
                known[known] = error[known] <= max(float(np.median(error[known])), BACK_PX)
            if known.sum() >= 4:
                proposed.append(fitted(one.box, one.grid[known], moved[known]))
        proposed += [fitted(one.box, one.grid, dense), one.expected]
        before, inside = _patch(self.first, one.box)
        alike = [_correlation(before, inside, *_patch(self.second, box)) for box in proposed]
        alike[0] += FIRST_ALIKE
        best = int(np.argmax(alike))
        return proposed[best] if alike[best] >= LEAST_ALIKE else None


def _levelled(first: Grey, second: Grey) -> Grey:
    """The second frame with the brightness and contrast of the first, where the light has changed: Lucas-Kanade
    takes a change of light for motion."""
    shift = float(second.mean() - first.mean())
    if abs(shift) < LIGHT_LEVELS:
        return second
    gain = float(np.clip(first.std() / max(float(second.std()), 1.0), 0.5, 2.0))
    level = gain * (second - float(second.mean())) + float(first.mean())
    return np.clip(np.rint(level), 0, 255).astype(np.uint8)


def fitted(box: Box, before: Points, after: Points) -> Box:
    """The box moved as the points (K, 2) in it moved: a shift and a scale of each axis, robust against strays."""
    weights = np.ones(len(before))
    for _ in range(6):
        total = weights.sum()
        middle, moved = weights @ before / total, weights @ after / total
        spread, spread_after = before - middle, after - moved
        square, product = weights @ spread**2, weights @ (spread * spread_after)
        common = product.sum() / max(square.sum(), 1e-9)
        scale = (product + TOGETHER_PX2 * common * total) / (square + TOGETHER_PX2 * total)
        error = np.linalg.norm(spread_after - scale * spread, axis=1)
        # Cauchy weights, their width the spread of the errors; under 0.3 px all points count alike
        weights = 1 / (1 + (error / max(0.3, 1.48 * float(np.median(error)))) ** 2)
    scale = np.clip(scale, LEAST_SCALE, MOST_SCALE)
    return np.concatenate([moved + scale * (box[:2] - middle), moved + scale * (box[2:] - middle)])


def _sides(box: Box) -> NDArray[np.float64]:
    return box[2:] - box[:2]


def _seen_grid(one: _Object, objects: list[_Object], shape: tuple[int, ...]) -> Points:
    """Points (K, 2) on a grid in the box that lie in the picture and not under a nearer object."""
    steps = (np.arange(GRID) + 0.5) / GRID
    across, down = (one.box[axis] + _sides(one.box)[axis] * steps for axis in (0, 1))
    points = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    seen = ((points >= 0.5) & (points <= (shape[1] - 0.5, shape[0] - 0.5))).all(1)
    for other in objects:
        # on a road what stands nearer has its lower edge lower in the picture
        if other is not one and other.box[3] > one.box[3] + 1:
            seen &= ~((points >= other.box[:2]) & (points <= other.box[2:])).all(1)
    return np.asarray(points[seen])


def _carried(points: Points, box: Box, other: Box) -> Points:
    """Points of one box at the same place in another."""
    return np.asarray((points - centres(box)) * (_sides(other) / _sides(box)) + centres(other))


def _sampled(dense: NDArray[np.float32], points: Points) -> Points:
    # boxes count from the picture's corner, arrays from the middle of their first pixel
    at = (points - 0.5).astype(np.float32)
    if not len(at):
        return points
    return np.asarray(cv2.remap(dense, at[:, :1], at[:, 1:], cv2.INTER_LINEAR), dtype=np.float64).reshape(-1, 2)


def _lucas_kanade(first: Grey, second: Grey, points: Points, start: Points) -> tuple[Points, NDArray[np.bool_]]:
    if not len(points):
        return points, np.empty(0, dtype=bool)
    here, there = ((p - 0.5).astype(np.float32).reshape(-1, 1, 2) for p in (points, start))
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        here,
        there,
        winSize=(WINDOW_PX, WINDOW_PX),
        maxLevel=3,
        minEigThreshold=1e-5,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved, dtype=np.float64).reshape(-1, 2) + 0.5, np.asarray(found).ravel() == 1


def _patch(grey: Grey, box: Box) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a box shows, always in the same number of samples, and which of them are in the picture."""
    across, down = (box[axis] + _sides(box)[axis] * (np.arange(PATCH[axis]) + 0.5) / PATCH[axis] for axis in (0, 1))
    xs, ys = np.meshgrid((across - 0.5).astype(np.float32), (down - 0.5).astype(np.float32))
    height, width = grey.shape
    patch = cv2.remap(grey, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(patch, dtype=np.float32), (xs >= 0) & (xs <= width - 1) & (ys >= 0) & (ys <= height - 1)


def _correlation(
    a: NDArray[np.float32], a_inside: NDArray[np.bool_], b: NDArray[np.float32], b_inside: NDArray[np.bool_]
) -> float:
    """Normalised correlation of two patches over what both show, -1 where that is too little or blank."""
    both = a_inside & b_inside
    if both.sum() < 24:
        return -1.0
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    power = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / power if power > 1e-6 else -1.0
