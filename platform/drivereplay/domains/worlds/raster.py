"""From a posed scene to an index picture: which face is seen at each sample.

Faces are painted from far to near with OpenCV's polygon filling. The order is exact for convex solids that do not
run into each other: of two that overlap in the picture, the one on the camera's side of a plane between them is nearer.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.scene import Moment, Scene

NEAR_M = 0.4
"""What is nearer to the camera is cut away."""
SHIFT = 4
_LIMIT = float(1 << 20)
_SMALLEST_PX = 1.0

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Drawing:
    """What is seen of a scene at a moment, F faces in painting order.

    Attributes:
        index: (H·s, W·s) int32, 1 + number of the face that is seen, 0 for the sky.
        samples: s, samples along a pixel's side.
        faces: (F,) their numbers in the scene.
        outlines: F polygons (n, 2) int32 as OpenCV draws them: sample coordinates less a half, times 16.
        low: (2, F) left and top end of each face in pixels; may lie outside the picture.
        high: (2, F) right and bottom end.
        nearest: (F,) 1/depth of the corner that is nearest, in 1/m.
        farthest: (F,) 1/depth of the farthest one; between them lies what is seen of the face.
        turns: (3, 3, F) from the axes of the face's body to the camera's.
        normals: (3, F) in camera axes.
        offsets: (F,) distance of the face's plane from the camera along its normal (negative in front of it).
    """

    index: NDArray[np.int32]
    samples: int
    faces: Index
    outlines: list[NDArray[np.int32]]
    low: Array
    high: Array
    nearest: Array
    farthest: Array
    turns: Array
    normals: Array
    offsets: Array


def draw(scene: Scene, moment: Moment, samples: int) -> Drawing:
    """Paint the scene with `samples`² samples a pixel."""
    camera = moment.camera
    width, height = camera.size_px
    turns, shifts = _body_to_camera(moment)
    faces = _candidates(scene, moment, turns, shifts)
    body = scene.bodies[faces]
    turn, shift = turns[:, :, body], shifts[:, body]
    normals = _turned(turn, scene.normals[:, faces])
    first = _turned(turn, scene.corners[:, 0, faces]) + shift
    offsets = normals[0] * first[0] + normals[1] * first[1] + normals[2] * first[2]
    facing = np.flatnonzero(offsets < -1e-4)
    faces, turn, normals, offsets = faces[facing], turn[:, :, facing], normals[:, facing], offsets[facing]
    x, y, depth = _turned(turn[:, :, None], scene.corners[:, :, faces]) + shift[:, None, facing]

    nearest, farthest = depth.min(axis=0), depth.max(axis=0)
    scale, middle = camera.focal_px * samples, np.asarray(camera.centre_px) * samples
    clipped = np.maximum(depth, NEAR_M)
    flat = np.stack([x / clipped * scale + middle[0], y / clipped * scale + middle[1]])
    low, high = flat.min(axis=1), flat.max(axis=1)
    cut: dict[int, Array] = {}
    for n in np.flatnonzero((nearest < NEAR_M) & (farthest >= NEAR_M)).tolist():
        cut[n] = _near(x[:, n], y[:, n], depth[:, n]) * scale + middle
        low[:, n], high[:, n] = cut[n].min(axis=0), cut[n].max(axis=0)
    kept = np.flatnonzero(
        (farthest >= NEAR_M)
        & (high[0] > 0) & (high[1] > 0) & (low[0] < width * samples) & (low[1] < height * samples)
        # too small to be worth painting
        & (np.maximum(high[0] - low[0], high[1] - low[1]) > _SMALLEST_PX * samples)
    )  # fmt: skip

    index = np.zeros((height * samples, width * samples), np.int32)
    fixed = _fixed(np.ascontiguousarray(flat[:, :, kept].transpose(2, 1, 0)))
    outlines = [row[:count] for row, count in zip(fixed, scene.counts[faces[kept]].tolist(), strict=True)]
    if cut:
        for number, n in enumerate(kept.tolist()):
            if n in cut:
                outlines[number] = _fixed(cut[n])
    for number, outline in enumerate(outlines, start=1):
        cv2.fillConvexPoly(index, outline, number, cv2.LINE_8, SHIFT)
    return Drawing(
        index, samples, faces[kept], outlines, low[:, kept] / samples, high[:, kept] / samples,
        1 / np.maximum(nearest[kept], NEAR_M), 1 / farthest[kept], turn[:, :, kept], normals[:, kept], offsets[kept],
    )  # fmt: skip


def _fixed(points: Array) -> NDArray[np.int32]:
    """OpenCV counts from the middle of the first sample, in sixteenths."""
    return np.rint(np.clip(points - 0.5, -_LIMIT, _LIMIT) * (1 << SHIFT)).astype(np.int32)


def _body_to_camera(moment: Moment) -> tuple[Array, Array]:
    """Turns (3, 3, B) and shifts (3, B) from the axes of bodies to those of the camera."""
    camera = moment.camera
    turns = np.matmul(camera.rotation.T, moment.rotations)
    return np.ascontiguousarray(turns.transpose(1, 2, 0)), camera.to_camera(moment.translations).T


def _turned(turn: Array, points: Array) -> Array:
    """turn (3, 3, …) times points (3, …)."""
    return np.stack([turn[i, 0] * points[0] + turn[i, 1] * points[1] + turn[i, 2] * points[2] for i in range(3)])


def _candidates(scene: Scene, moment: Moment, turns: Array, shifts: Array) -> Index:
    """Faces that may be seen, in painting order: the ground, then solids from far to near."""
    seen, order = _visible_solids(scene, moment, turns, shifts)
    rank = np.full(len(scene.solid_bodies) + 1, -1, np.int64)
    rank[seen[order]] = np.arange(len(seen))
    # faces on the ground have solid −1, which is the last entry
    rank[-1] = -2
    ranks = rank[scene.solids]
    lying = np.flatnonzero(ranks == -2)
    ranks[lying[~_near_view(scene, moment, turns, shifts, lying)]] = -1
    candidates = np.flatnonzero((ranks != -1) & moment.present[scene.bodies])
    return candidates[np.argsort(ranks[candidates], kind="stable")]


def _near_view(scene: Scene, moment: Moment, turns: Array, shifts: Array, faces: Index) -> NDArray[np.bool_]:
    """Whether the ball round each of the faces reaches into the view."""
    camera, bodies = moment.camera, scene.bodies[faces]
    middle = _turned(turns[:, :, bodies], scene.middles[:, faces]) + shifts[:, bodies]
    radius = scene.radii[faces]
    slope = np.maximum(camera.centre_px[0], camera.size_px[0] - camera.centre_px[0]) / camera.focal_px
    inside: NDArray[np.bool_] = np.abs(middle[0]) - radius * np.hypot(1.0, slope) < slope * middle[2]
    return inside & (middle[2] > NEAR_M - radius)


def _visible_solids(scene: Scene, moment: Moment, turns: Array, shifts: Array) -> tuple[Index, Index]:
    """Solids that may be in the picture, and the order (positions among them) in which they are painted."""
    camera, bodies = moment.camera, scene.solid_bodies
    local = _turned(turns[:, :, bodies][:, :, None], scene.boxes) + shifts[:, None, bodies]
    (cx, cy), (width, height), focal = camera.centre_px, camera.size_px, camera.focal_px
    x, y, depth = local[0] * focal, local[1] * focal, local[2]
    # a box is outside if all its corners are on the wrong side of one plane of the view
    chosen = np.flatnonzero(
        moment.present[bodies]
        & (depth.max(axis=0) > NEAR_M)
        & ((x + cx * depth).max(axis=0) > 0)
        & ((x + (cx - width) * depth).min(axis=0) < 0)
        & ((y + cy * depth).max(axis=0) > 0)
        & ((y + (cy - height) * depth).min(axis=0) < 0)
    )
    return chosen, _painting_order(local[:, :, chosen])


def _painting_order(boxes: Array) -> Index:
    """Far to near order of boxes (3, 8, S) in camera axes, with corners x fastest, then y, then z."""
    depth = boxes[2]
    near, far = depth.min(axis=0), depth.max(axis=0)
    key = -(near + far)
    flat = boxes[:2] / np.maximum(depth, NEAR_M)
    low, high = flat.min(axis=1), flat.max(axis=1)
    # where the near plane cuts a box, it is somewhere between its corners' places on that plane
    behind = np.flatnonzero(near < NEAR_M)
    if len(behind):
        cut = boxes[:2, :, behind] / NEAR_M
        low[:, behind] = np.minimum(low[:, behind], cut.min(axis=1))
        high[:, behind] = np.maximum(high[:, behind], cut.max(axis=1))
    below = (low[0][:, None] < high[0]) & (low[1][:, None] < high[1])
    a, b = np.nonzero(below & below.T)
    once = a < b
    a, b = a[once], b[once]
    # sign > 0: a is nearer than b
    sign = np.where(far[a] <= near[b], 1, np.where(far[b] <= near[a], -1, 0))
    unclear = np.flatnonzero(sign == 0)
    if len(unclear):
        sign[unclear] = _nearer(boxes, a[unclear], b[unclear])
    decided = sign != 0
    first, second = np.where(sign > 0, b, a)[decided], np.where(sign > 0, a, b)[decided]
    return _sorted(first, second, key)


def _nearer(boxes: Array, a: Index, b: Index) -> Index:
    """+1 where box a is on the camera's side of a plane between a and b, −1 for b, 0 if there is none."""
    edges = boxes[:, [1, 2, 4]] - boxes[:, :1]
    axes = edges / np.maximum(np.sqrt((edges * edges).sum(axis=0)), 1e-9)
    # (3, S): the slab of each box along its own axes; the camera is the origin of these coordinates
    start, stop = ((axes * boxes[:, corner, None]).sum(axis=0) for corner in (0, 7))
    tolerance = 0.02

    def beyond(one: Index, other: Index) -> Index:
        score = np.zeros(len(one), np.int64)
        points = boxes[:, :, other]
        for axis in range(3):
            direction, begin, end = axes[:, axis, one], start[axis, one], stop[axis, one]
            along = direction[0] * points[0] + direction[1] * points[1] + direction[2] * points[2]
            above = along.min(axis=0) >= end - tolerance
            below = along.max(axis=0) <= begin + tolerance
            # the camera beyond the same face as the other box: that one is nearer
            score += np.where(above, np.where(end < 0, -1, 1), 0) + np.where(below, np.where(begin > 0, -1, 1), 0)
        return np.sign(score)

    return np.sign(beyond(a, b) - beyond(b, a))


def _sorted(first: Index, second: Index, key: Array) -> Index:
    """Order in which `first[i]` stands before `second[i]`, else by `key`; a cycle is cut at its least key."""
    count = len(key)
    after: list[list[int]] = [[] for _ in range(count)]
    waiting = np.bincount(second, minlength=count).tolist()
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        after[one].append(other)
    keys = key.tolist()
    ready = [(keys[n], n) for n in range(count) if waiting[n] == 0]
    heapq.heapify(ready)
    done = [False] * count
    order: list[int] = []
    while len(order) < count:
        if not ready:
            left = min((keys[n], n) for n in range(count) if not done[n])
            ready = [left]
        _, n = heapq.heappop(ready)
        if done[n]:
            continue
        done[n] = True
        order.append(n)
        for other in after[n]:
            waiting[other] -= 1
            if waiting[other] == 0 and not done[other]:
                heapq.heappush(ready, (keys[other], other))
    return np.array(order, np.int64)


def _near(x: Array, y: Array, z: Array) -> Array:
    """x/z and y/z (n, 2) of a polygon's part beyond the near plane."""
    # plain floats: a handful of corners is too few for numpy to pay
    points = list(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))
    out = []
    for n, (px, py, pz) in enumerate(points):
        if pz >= NEAR_M:
            out.append((px / pz, py / pz))
        qx, qy, qz = points[(n + 1) % len(points)]
        if (pz >= NEAR_M) != (qz >= NEAR_M):
            share = (NEAR_M - pz) / (qz - pz)
            out.append(((px + share * (qx - px)) / NEAR_M, (py + share * (qy - py)) / NEAR_M))
    return np.array(out)
