"""What is exactly true of a frame: boxes and visible shares, and on request masks, depth and optical flow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.camera import Camera
from drivereplay.domains.worlds.raster import NEAR_M, SHIFT, Drawing, draw
from drivereplay.domains.worlds.scene import Moment, Scene, Take, box_corners

Array = NDArray[np.float64]

_SAMPLES = 5
"""An odd number: the middle sample of a pixel is then exactly its centre."""

_FAR_M = 1e6
"""Where the sky is put when it is followed."""


@dataclass(frozen=True)
class GroundTruth:
    """A frame, pixel by pixel; values hold at pixel centres.

    Attributes:
        ids: (H, W) int64, identity of the object that is seen; 0 for ground, scenery and sky.
        depth_m: (H, W) float32 along the optical axis; infinite for the sky.
        flow_px: (H, W, 2) float32, how far a point goes until the next frame, right and down; NaN in the last one.
        followed: (H, W) whether the point is in the next picture and nothing is in front of it there.
    """

    ids: NDArray[np.int64]
    depth_m: NDArray[np.float32]
    flow_px: NDArray[np.float32]
    followed: NDArray[np.bool_]


def measure(scene: Scene, moment: Moment, drawing: Drawing) -> tuple[Array, Array]:
    """2-D boxes (N, 4) and visible shares (N,) of the objects in a drawing.

    A box is that of the object's whole outline as far as it is in the picture, whatever stands in front; NaN if no
    part of it is. The visible share is the share of that outline that is seen, times the share of the projected 3-D box
    that is in the picture.
    """
    width, height = moment.camera.size_px
    count = len(scene.classes)
    boxes, visible = np.full((count, 4), np.nan), np.zeros(count)
    owner = _owners(scene, drawing)
    mine = np.flatnonzero(owner >= 0)
    if not len(mine):
        return boxes, visible
    low, high = np.full((2, count), np.inf), np.full((2, count), -np.inf)
    for axis in range(2):
        np.minimum.at(low[axis], owner[mine], drawing.low[axis, mine])
        np.maximum.at(high[axis], owner[mine], drawing.high[axis, mine])
    size = np.array([[width], [height]])
    left_top, right_bottom = (np.minimum(np.maximum(ends, 0.0), size) for ends in (low, high))
    there = np.flatnonzero(np.all(right_bottom > left_top, axis=0))
    boxes[there] = np.concatenate([left_top, right_bottom])[:, there].T

    seen = np.bincount(drawing.index.ravel(), minlength=len(owner) + 1)[1:]
    seen_of = np.bincount(owner[mine], weights=seen[mine], minlength=count)
    first_painted = np.full(count, len(owner))
    np.minimum.at(first_painted, owner[mine], mine)
    # (n, F): faces of others that are painted later and seen, which may therefore stand in front
    hiding = (np.arange(len(owner)) > first_painted[there, None]) & (owner != there[:, None]) & (seen > 0)
    for axis in range(2):
        hiding &= drawing.low[axis] < right_bottom[axis, there, None]
        hiding &= drawing.high[axis] > left_top[axis, there, None]
    hidden = hiding.any(axis=1)
    cut_off = np.any((low < 0) | (high > size), axis=0)
    outlined = seen_of.copy()
    partly = there[hidden]
    outlined[partly] = _outline_samples(drawing, [mine[owner[mine] == n] for n in partly.tolist()], boxes[partly])
    shares = np.divide(seen_of, outlined, out=np.zeros(count), where=outlined > 0)
    for number in there[cut_off[there] & (shares[there] > 0)].tolist():
        shares[number] *= _share_inside(scene, moment, number)
    visible[there] = np.minimum(1.0, shares[there])
    return boxes, visible


def ground_truth(take: Take, frame: int) -> GroundTruth:
    """Masks, depth and flow of one frame."""
    scene, moment = take.scene, take.moment(frame)
    index, drawing = _centres(scene, moment)
    camera = moment.camera
    width, height = camera.size_px
    rays = _pixel_rays(camera)
    owner = np.concatenate([[-1], _owners(scene, drawing)])
    depth = _depth(drawing, index, rays)
    flow = np.full((height, width, 2), np.nan, np.float32)
    followed = np.zeros((height, width), bool)
    if frame + 1 < len(take.cameras):
        after = take.moment(frame + 1)
        body = np.concatenate([[0], scene.bodies[drawing.faces]])[index]
        local = _carried(rays, depth, body, moment, after)
        columns, rows = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
        with np.errstate(divide="ignore", invalid="ignore"):
            landed = local[..., :2] / local[..., 2:] * after.camera.focal_px + np.asarray(after.camera.centre_px)
        flow = (landed - np.stack(np.broadcast_arrays(columns, rows), axis=-1)).astype(np.float32)
        followed = _arrived(scene, after, landed, local[..., 2])
        ahead = local[..., 2] > NEAR_M
        flow[~ahead], followed = np.nan, followed & ahead
    ids = np.where(owner[index] >= 0, owner[index] + 1, 0)
    return GroundTruth(ids, depth.astype(np.float32), flow, followed)


def _owners(scene: Scene, drawing: Drawing) -> NDArray[np.int64]:
    """(F,) object of each drawn face; −1 for scenery and for everything that lies on the ground."""
    owner = scene.body_objects[scene.bodies[drawing.faces]]
    return np.where(scene.solids[drawing.faces] >= 0, owner, -1)


def _outline_samples(drawing: Drawing, objects: list[NDArray[np.int64]], boxes: Array) -> list[int]:
    """Samples inside the outlines of objects, each as if nothing else were there.

    Args:
        objects: The faces of each.
        boxes: (N, 4) pixels.
    """
    rows, columns = drawing.index.shape
    first = np.floor(boxes[:, :2] * drawing.samples).astype(np.int32)
    last = np.minimum(np.ceil(boxes[:, 2:] * drawing.samples).astype(np.int32) + 1, [columns, rows])
    outlines = [drawing.outlines[face] for faces in objects for face in faces.tolist()]
    if not outlines:
        return []
    lengths = [len(outline) for outline in outlines]
    moved = np.concatenate(outlines)
    moved -= np.repeat(np.repeat(first << SHIFT, [len(faces) for faces in objects], axis=0), lengths, axis=0)
    polygons = iter(np.split(moved, np.cumsum(lengths[:-1])))
    samples = []
    for faces, (width, height) in zip(objects, (last - first).tolist(), strict=True):
        canvas = np.zeros((height, width), np.uint8)
        for polygon in itertools.islice(polygons, len(faces)):
            cv2.fillConvexPoly(canvas, polygon, 1, cv2.LINE_8, SHIFT)
        samples.append(cv2.countNonZero(canvas))
    return samples


def projected_box(camera: Camera, rotation: Array, translation: Array, size_m: Array) -> Array:
    """Bounds (4,) in pixels of an object's 3-D box, not cut at the picture's edge; NaN if it is behind the camera."""
    local = camera.to_camera(box_corners(size_m) @ rotation.T + translation)
    a, b = local[_EDGES[:, 0]], local[_EDGES[:, 1]]
    # edges that pass the near plane are cut there
    passing = (a[:, 2] >= NEAR_M) != (b[:, 2] >= NEAR_M)
    a, b = a[passing], b[passing]
    crossings = a + ((NEAR_M - a[:, 2]) / (b[:, 2] - a[:, 2]))[:, None] * (b - a)
    ahead = np.concatenate([local[local[:, 2] >= NEAR_M], crossings])
    if not len(ahead):
        return np.full(4, np.nan)
    flat = ahead[:, :2] / ahead[:, 2:] * camera.focal_px + np.asarray(camera.centre_px)
    return np.concatenate([flat.min(axis=0), flat.max(axis=0)])


_EDGES = np.array([(one, one | bit) for one in range(8) for bit in (1, 2, 4) if not one & bit])
"""Corners that the edges of a box join, in the order of `scene.box_corners`."""


def _share_inside(scene: Scene, moment: Moment, number: int) -> float:
    body = scene.main_bodies[number]
    bounds = projected_box(moment.camera, moment.rotations[body], moment.translations[body], scene.sizes_m[number])
    inside = bounds.clip(0, np.tile(moment.camera.size_px, 2))
    whole = float(np.prod(bounds[2:] - bounds[:2]))
    return float(np.prod(inside[2:] - inside[:2])) / whole if whole > 0 else 0.0


def _centres(scene: Scene, moment: Moment) -> tuple[NDArray[np.int64], Drawing]:
    drawing = draw(scene, moment, _SAMPLES)
    middle = _SAMPLES // 2
    return drawing.index[middle::_SAMPLES, middle::_SAMPLES].astype(np.int64), drawing


def _depth(drawing: Drawing, index: NDArray[np.int64], rays: Array) -> Array:
    planes = np.concatenate([np.zeros((1, 3)), (drawing.normals / drawing.offsets).T])
    closeness = (planes[index] * rays).sum(axis=-1)
    farthest, nearest = (np.concatenate([[0.0], ends])[index] for ends in (drawing.farthest, drawing.nearest))
    closeness = np.clip(closeness, farthest, nearest)
    with np.errstate(divide="ignore"):
        return np.where(closeness > 1e-9, 1.0 / np.maximum(closeness, 1e-9), np.inf)


def _carried(rays: Array, depth: Array, body: NDArray[np.int64], now: Moment, after: Moment) -> Array:
    """Where the points seen now are in the next camera's axes; the sky only turns."""
    sky = ~np.isfinite(depth)
    world = (rays * np.where(sky, 1.0, depth)[..., None]) @ now.camera.rotation.T
    place = world + now.camera.position
    own = np.einsum("...i,...ij->...j", place - now.translations[body], now.rotations[body])
    moved = np.einsum("...ij,...j->...i", after.rotations[body], own) + after.translations[body]
    local = after.camera.to_camera(moved)
    local[sky] = world[sky] @ after.camera.rotation * _FAR_M
    return local


def _arrived(scene: Scene, after: Moment, landed: Array, depth: Array) -> NDArray[np.bool_]:
    """Whether points (H, W, 2) of the given depth are what the next picture shows there."""
    index, drawing = _centres(scene, after)
    height, width = index.shape
    whole = np.nan_to_num(landed, nan=-1.0, posinf=-1.0, neginf=-1.0)
    column, row = np.floor(whole[..., 0]).astype(np.int64), np.floor(whole[..., 1]).astype(np.int64)
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    there = _depth(drawing, index, _pixel_rays(after.camera))[row, column]
    # within a pixel, depth changes by about depth² · |plane| / focal on a slanted face
    slant = np.concatenate([[0.0], np.linalg.norm(drawing.normals / drawing.offsets, axis=0)])[index[row, column]]
    allowed = 0.02 * depth + 0.05 + depth * depth * slant / after.camera.focal_px
    same: NDArray[np.bool_] = inside & (np.abs(np.minimum(there, _FAR_M) - depth) < allowed)
    return same | (inside & np.isinf(there) & (depth > 0.1 * _FAR_M))


def _pixel_rays(camera: Camera) -> Array:
    width, height = camera.size_px
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    return camera.rays(columns, rows)
