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
SHIFT = 4
_LIMIT = float(1 << 20)

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
        low: (F, 2) left and top end of each face in pixels; may lie outside the picture.
        high: (F, 2) right and bottom end.
        nearest: (F,) 1/depth of the corner that is nearest, in 1/m.
        farthest: (F,) 1/depth of the farthest one; between them lies what is seen of the face.
        normals: (F, 3) in camera axes.
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
    normals: Array
    offsets: Array


def draw(scene: Scene, moment: Moment, samples: int) -> Drawing:
    """Paint the scene with `samples`² samples a pixel."""
    camera = moment.camera
    width, height = camera.size_px
    seen, order = _visible_solids(scene, moment)
    rank = np.full(len(scene.solid_bodies) + 1, -1, np.int64)
    rank[seen[order]] = np.arange(len(seen))
    # ground faces have solid −1, which is the last entry: painted first
    rank[-1] = -2
    candidates = np.flatnonzero(rank[scene.solids] != -1)
    candidates = candidates[np.argsort(rank[scene.solids[candidates]], kind="stable")]

    body = scene.bodies[candidates]
    turn = moment.rotations[body] if len(scene.body_objects) > 1 else moment.rotations[:1].repeat(len(body), axis=0)
    turn = np.matmul(camera.rotation.T, turn)
    normals = np.matmul(turn, scene.normals[candidates][..., None])[..., 0]
    shift = (moment.translations[body] - camera.position) @ camera.rotation
    first = np.matmul(turn, scene.corners[candidates, 0][..., None])[..., 0] + shift
    offsets = (normals * first).sum(axis=1)
    facing = np.flatnonzero(offsets < -1e-4)
    corners = np.matmul(scene.corners[candidates[facing]], turn[facing].transpose(0, 2, 1)) + shift[facing, None]

    depth = corners[..., 2]
    in_front = depth.min(axis=1) >= NEAR_M
    touched = np.flatnonzero(depth.max(axis=1) >= NEAR_M)
    scale, middle = camera.focal_px * samples, np.asarray(camera.centre_px) * samples
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = corners[..., :2] / depth[..., None] * scale + middle
    cut = {int(n): _near(corners[n]) * scale + middle for n in touched if not in_front[n]}
    low, high = flat.min(axis=1), flat.max(axis=1)
    for n, outline in cut.items():
        low[n], high[n] = outline.min(axis=0), outline.max(axis=0)
    inside = (high[:, 0] > 0) & (high[:, 1] > 0) & (low[:, 0] < width * samples) & (low[:, 1] < height * samples)
    # too small to be worth painting
    inside &= (high - low).max(axis=1) > 0.25 * samples
    kept = touched[inside[touched]]

    index = np.zeros((height * samples, width * samples), np.int32)
    outlines = list(_fixed(flat[kept]))
    for number, n in enumerate(kept.tolist()):
        if n in cut:
            outlines[number] = _fixed(cut[n])
        cv2.fillConvexPoly(index, outlines[number], number + 1, cv2.LINE_8, SHIFT)
    chosen = facing[kept]
    return Drawing(
        index, samples, candidates[chosen], outlines, low[kept] / samples, high[kept] / samples,
        1 / np.maximum(depth[kept].min(axis=1), NEAR_M), 1 / depth[kept].max(axis=1), normals[chosen], offsets[chosen],
    )  # fmt: skip


def _fixed(points: Array) -> NDArray[np.int32]:
    """OpenCV counts from the middle of the first sample, in sixteenths."""
    return np.rint(np.clip(points - 0.5, -_LIMIT, _LIMIT) * (1 << SHIFT)).astype(np.int32)


def _visible_solids(scene: Scene, moment: Moment) -> tuple[Index, Index]:
    """Solids that may be in the picture, and the order (positions among them) in which they are painted."""
    if not len(scene.solid_bodies):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    camera = moment.camera
    bodies = scene.solid_bodies
    world = np.matmul(scene.boxes, moment.rotations[bodies].transpose(0, 2, 1)) + moment.translations[bodies, None]
    local = camera.to_camera(world)
    depth = local[..., 2]
    (cx, cy), (width, height), focal = camera.centre_px, camera.size_px, camera.focal_px
    x, y = local[..., 0] * focal, local[..., 1] * focal
    # a box is outside if all its corners are on the wrong side of one plane of the view
    seen = (
        moment.present[bodies]
        & (depth > NEAR_M).any(axis=1)
        & (x + cx * depth > 0).any(axis=1)
        & (x + (cx - width) * depth < 0).any(axis=1)
        & (y + cy * depth > 0).any(axis=1)
        & (y + (cy - height) * depth < 0).any(axis=1)
    )
    chosen = np.flatnonzero(seen)
    return chosen, _painting_order(local[chosen], focal)


def _painting_order(boxes: Array, focal: float) -> Index:
    """Far to near order of boxes (S, 8, 3) in camera axes, with x fastest, then y, then z."""
    count = len(boxes)
    depth = boxes[..., 2]
    far_first = -depth.mean(axis=1)
    clipped = np.maximum(depth, NEAR_M)
    flat = boxes[..., :2] / clipped[..., None]
    low, high = flat.min(axis=1), flat.max(axis=1)
    # a box that reaches behind the camera may be anywhere in the picture
    behind = depth.min(axis=1) < NEAR_M
    low[behind], high[behind] = -np.inf, np.inf
    overlap = (low[:, None] < high[None]).all(axis=2)
    overlap &= overlap.T
    a, b = np.nonzero(np.triu(overlap, 1))
    if not len(a):
        return np.argsort(far_first, kind="stable")
    # sign > 0: a is nearer than b
    near, far = depth.min(axis=1), depth.max(axis=1)
    sign = np.where(far[a] <= near[b], 1, np.where(far[b] <= near[a], -1, 0))
    open_pairs = np.flatnonzero(sign == 0)
    if len(open_pairs):
        sign[open_pairs] = _nearer(boxes, a[open_pairs], b[open_pairs])
    decided = sign != 0
    first = np.where(sign > 0, b, a)[decided]
    second = np.where(sign > 0, a, b)[decided]
    return _sorted(count, first, second, far_first)


def _nearer(boxes: Array, a: Index, b: Index) -> Index:
    """+1 where box a is on the camera's side of a plane between a and b, −1 the other way round, 0 if there is none."""
    tolerance = 0.02
    origin, end = boxes[:, 0], boxes[:, 7]
    edges = boxes[:, [1, 2, 4]] - origin[:, None]
    axes = edges / np.maximum(np.linalg.norm(edges, axis=2, keepdims=True), 1e-9)
    # (S, 3): the slab of each box along its own axes; the camera is the origin of these coordinates
    start = np.einsum("sij,sj->si", axes, origin)
    stop = np.einsum("sij,sj->si", axes, end)

    def beyond(one: Index, other: Index) -> Index:
        along = np.einsum("pij,pkj->pik", axes[one], boxes[other])
        least, most = along.min(axis=2), along.max(axis=2)
        above = least >= stop[one] - tolerance
        below = most <= start[one] + tolerance
        # the camera beyond the same face as the other box: that one is nearer
        nearer_other = (above & (stop[one] < 0)) | (below & (start[one] > 0))
        nearer_one = (above & (stop[one] >= 0)) | (below & (start[one] <= 0))
        return nearer_one.any(axis=1).astype(np.int64) - nearer_other.any(axis=1).astype(np.int64)

    return np.sign(beyond(a, b) - beyond(b, a))


def _sorted(count: int, first: Index, second: Index, key: Array) -> Index:
    """Topological order in which `first[i]` stands before `second[i]`, otherwise by `key`; a cycle is cut at its farthest."""
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


def _near(corners: Array) -> Array:
    """x/z and y/z (n, 2) of a polygon's part beyond the near plane."""
    # plain floats: a handful of corners is too few for numpy to pay
    points = corners.tolist()
    out = []
    for n, (x, y, z) in enumerate(points):
        if z >= NEAR_M:
            out.append((x / z, y / z))
        u, v, w = points[(n + 1) % len(points)]
        if (z >= NEAR_M) != (w >= NEAR_M):
            share = (NEAR_M - z) / (w - z)
            out.append(((x + share * (u - x)) / NEAR_M, (y + share * (v - y)) / NEAR_M))
    return np.array(out)
