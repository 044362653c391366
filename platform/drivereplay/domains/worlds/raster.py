"""From a posed scene to an index picture: which face is seen at each sample.

Faces are painted from far to near (`order.py`) with OpenCV's polygon filling. Geometry is worked out for several frames
at once: a frame has few faces, and numpy's cost is then that of its calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.order import NEAR_M, highest, lowest, painting_orders
from drivereplay.domains.worlds.scene import Moment, Scene

SHIFT = 4
_LIMIT = float(1 << 20)
_SMALLEST_PX = 1.0
_FEW = 4
"""Nearly all faces have so many corners at most; the others are worked out by themselves."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Outline = NDArray[np.int32]


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
    outlines: list[Outline]
    low: Array
    high: Array
    nearest: Array
    farthest: Array
    turns: Array
    normals: Array
    offsets: Array


def draw(scene: Scene, moment: Moment, samples: int) -> Drawing:
    """Paint the scene with `samples`² samples a pixel."""
    return draw_all(scene, [moment], samples)[0]


def draw_all(scene: Scene, moments: Sequence[Moment], samples: int) -> list[Drawing]:
    """`draw` for several moments, whose cameras have one size."""
    width, height = moments[0].camera.size_px
    views = _Views.of(scene, moments)
    frame, faces = _candidates(scene, views)
    pose = frame * views.bodies + scene.bodies[faces]
    turn, shift = views.turns[:, :, pose], views.shifts[:, pose]
    normals = _turned(turn, scene.normals[:, faces])
    scale, middle = (views.focal_px * samples)[frame], (views.centre_px * samples)[:, frame]
    local = _turned(turn[:, :, None], np.take(scene.corners[:, :_FEW], faces, axis=2)) + shift[:, None]
    offsets = normals[0] * local[0, 0] + normals[1] * local[1, 0] + normals[2] * local[2, 0]
    flat, low, high, nearest, farthest = _projected(local, scale, middle)
    # those with more corners are worked out anew, and so are those that the near plane cuts
    wide = np.flatnonzero(scene.counts[faces] > _FEW)
    whole = _turned(turn[:, :, None, wide], scene.corners[:, :, faces[wide]]) + shift[:, None, wide]
    wide_flat, low[:, wide], high[:, wide], nearest[wide], farthest[wide] = _projected(
        whole, scale[wide], middle[:, wide]
    )
    special = [(wide, wide_flat, np.arange(whole.shape[1])[:, None] < scene.counts[faces[wide]])]
    for members, corners in ((np.arange(len(faces)), local), (wide, whole)):
        cut = np.flatnonzero((nearest[members] < NEAR_M) & (farthest[members] >= NEAR_M))
        near, inside = _near(*corners[:, :, cut])
        cut, near = members[cut], near * scale[members[cut]] + middle[:, None, members[cut]]
        low[:, cut], high[:, cut] = (
            np.where(inside, near, np.inf).min(axis=1),
            np.where(inside, near, -np.inf).max(axis=1),
        )
        special.append((cut, np.where(inside, near, 0.0), inside))
    shown = (
        (farthest >= NEAR_M)
        & (high[0] > 0) & (high[1] > 0) & (low[0] < width * samples) & (low[1] < height * samples)
        # too small to be worth painting
        & (np.maximum(high[0] - low[0], high[1] - low[1]) > _SMALLEST_PX * samples)
    )  # fmt: skip
    kept = np.flatnonzero(shown)
    outlines: list[Outline] = list(_fixed(flat[:, :, kept]))
    few = np.flatnonzero(scene.counts[faces[kept]] < _FEW)
    for place, count in zip(few.tolist(), scene.counts[faces[kept[few]]].tolist(), strict=True):
        outlines[place] = outlines[place][:count]
    places = np.cumsum(shown) - 1
    for members, points, used in special:
        mine = np.flatnonzero(shown[members])
        rows = _fixed(points[:, :, mine])
        for place, row, use in zip(places[members[mine]].tolist(), rows, used[:, mine].T, strict=True):
            outlines[place] = row[use]
    index = np.zeros((len(moments), height * samples, width * samples), np.int32)
    ends = np.searchsorted(frame[kept], np.arange(len(moments) + 1)).tolist()
    faces, columns = faces[kept], (
        low[:, kept] / samples, high[:, kept] / samples, 1 / np.maximum(nearest[kept], NEAR_M),
        1 / farthest[kept], turn[:, :, kept], normals[:, kept], offsets[kept],
    )  # fmt: skip
    drawings = []
    for k, (start, stop) in enumerate(itertools.pairwise(ends)):
        canvas, painted = index[k], outlines[start:stop]
        for number, outline in enumerate(painted, start=1):
            cv2.fillConvexPoly(canvas, outline, number, cv2.LINE_8, SHIFT)
        own = (column[..., start:stop] for column in columns)
        drawings.append(Drawing(canvas, samples, faces[start:stop], painted, *own))
    return drawings


@dataclass(frozen=True)
class _Views:
    """Several moments at once: what varies from frame to frame, with the K frames' B bodies one after the other.

    Attributes:
        bodies: B.
        turns: (3, 3, K·B) from the axes of bodies to those of the frame's camera.
        shifts: (3, K·B)
        eyes: (3, K·B) the camera in the axes of bodies.
        present: (K, B)
        focal_px: (K,)
        centre_px: (2, K)
        size_px: (width, height).
    """

    bodies: int
    turns: Array
    shifts: Array
    eyes: Array
    present: NDArray[np.bool_]
    focal_px: Array
    centre_px: Array
    size_px: tuple[int, int]

    @classmethod
    def of(cls, scene: Scene, moments: Sequence[Moment]) -> _Views:
        cameras = [moment.camera for moment in moments]
        turns = [np.matmul(moment.camera.rotation.T, moment.rotations) for moment in moments]
        shifts = [moment.camera.to_camera(moment.translations) for moment in moments]
        turn = np.ascontiguousarray(np.concatenate(turns).transpose(1, 2, 0))
        shift = np.ascontiguousarray(np.concatenate(shifts).T)
        return cls(
            len(scene.body_objects),
            turn,
            shift,
            -_turned(turn.transpose(1, 0, 2), shift),
            np.stack([moment.present for moment in moments]),
            np.array([camera.focal_px for camera in cameras]),
            np.array([camera.centre_px for camera in cameras]).T,
            cameras[0].size_px,
        )


def _projected(local: Array, scale: Array, middle: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Faces (3, n, F) in camera axes, projected as if nothing were cut.

    Returns:
        Corners (2, n, F) in samples, their least and greatest (2, F), and the least and greatest depth (F,).
    """
    depth = local[2]
    flat = local[:2] / np.maximum(depth, NEAR_M) * scale + middle[:, None]
    by_corner = flat.swapaxes(0, 1)
    return flat, lowest(by_corner), highest(by_corner), lowest(depth), highest(depth)


def _fixed(points: Array) -> NDArray[np.int32]:
    """Polygons (F, n, 2) of corners (2, n, F). OpenCV counts from the middle of the first sample, in sixteenths."""
    scaled = np.rint(np.clip(points - 0.5, -_LIMIT, _LIMIT) * (1 << SHIFT))
    return np.ascontiguousarray(scaled.transpose(2, 1, 0), np.int32)


def _turned(turn: Array, points: Array) -> Array:
    """turn (3, 3, …) times points (3, …)."""
    return np.stack([turn[i, 0] * points[0] + turn[i, 1] * points[1] + turn[i, 2] * points[2] for i in range(3)])


def _candidates(scene: Scene, views: _Views) -> tuple[Index, Index]:
    """Frames and faces that may be seen there, in painting order: the ground, then solids from far to near.

    All of them are turned to the camera.
    """
    frames, solids = _visible_solids(scene, views)
    count = len(views.focal_px)
    rank = np.full((count, len(scene.solid_bodies) + 1), -1, np.int64)
    # a frame's solids need not count from 0
    rank[frames, solids] = np.arange(len(frames))
    # faces on the ground have solid −1, which is the last entry
    rank[:, -1] = -2
    ranks = rank[:, scene.solids]
    lying = np.flatnonzero(scene.solids < 0)
    unseen = ~_near_view(views, scene.bodies[lying], scene.middles[:, lying], scene.radii[lying])
    ranks[:, lying] = np.where(unseen, -1, -2)
    frame, face = np.nonzero((ranks != -1) & views.present[:, scene.bodies])
    pose = frame * views.bodies + scene.bodies[face]
    eye, normal = views.eyes[:, pose], scene.normals[:, face]
    along = normal[0] * eye[0] + normal[1] * eye[1] + normal[2] * eye[2]
    facing = np.flatnonzero(scene.planes[face] - along < -1e-4)
    frame, face = frame[facing], face[facing]
    order = np.lexsort((ranks[frame, face], frame))
    return frame[order], face[order]


def _near_view(views: _Views, bodies: Index, middles: Array, radii: Array) -> NDArray[np.bool_]:
    """Whether balls of N bodies, with middles (3, N) in their axes, reach into the view, (K, N)."""
    pose = np.arange(len(views.focal_px))[:, None] * views.bodies + bodies
    middle = _turned(views.turns[:, :, pose], middles[:, None]) + views.shifts[:, pose]
    slope = (np.maximum(views.centre_px[0], views.size_px[0] - views.centre_px[0]) / views.focal_px)[:, None]
    inside: NDArray[np.bool_] = np.abs(middle[0]) - radii * np.hypot(1.0, slope) < slope * middle[2]
    return inside & (middle[2] > NEAR_M - radii)


def _visible_solids(scene: Scene, views: _Views) -> tuple[Index, Index]:
    """Frames and the solids that may be seen there, in painting order."""
    low, high = scene.boxes[:, 0], scene.boxes[:, 7]
    # a ball is looked at eight times as fast as a box; a hair's breadth more, so that rounding loses none
    radii = np.sqrt(((high - low) ** 2).sum(axis=0)) / 2 * (1 + 1e-9) + 1e-9
    near_view = _near_view(views, scene.solid_bodies, (low + high) / 2, radii)
    frame, solid = np.nonzero(near_view & views.present[:, scene.solid_bodies])
    pose = frame * views.bodies + scene.solid_bodies[solid]
    local = _turned(views.turns[:, :, None, pose], scene.boxes[:, :, solid]) + views.shifts[:, None, pose]
    (cx, cy), (width, height), focal = views.centre_px[:, frame], views.size_px, views.focal_px[frame]
    x, y, depth = local[0] * focal, local[1] * focal, local[2]
    # a box is outside if all its corners are on the wrong side of one plane of the view
    chosen = np.flatnonzero(
        (highest(depth) > NEAR_M)
        & (highest(x + cx * depth) > 0)
        & (lowest(x + (cx - width) * depth) < 0)
        & (highest(y + cy * depth) > 0)
        & (lowest(y + (cy - height) * depth) < 0)
    )
    ends = np.searchsorted(frame[chosen], np.arange(len(views.focal_px)), side="right").tolist()
    painted = chosen[painting_orders(local[:, :, chosen], ends)]
    return frame[painted], solid[painted]


def _near(x: Array, y: Array, z: Array) -> tuple[Array, NDArray[np.bool_]]:
    """x/z and y/z (2, 2n, F) of polygons' parts beyond the near plane, and which of them are corners (2n, F).

    Args:
        x, y, z: (n, F) corners.
    """
    after = [np.roll(values, -1, axis=0) for values in (x, y, z)]
    ahead = z >= NEAR_M
    passing = ahead != (after[2] >= NEAR_M)
    count, faces = x.shape
    points = np.empty((2, count, 2, faces))
    # corners that are cut away, and edges that do not pass, give numbers that nobody looks at
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = (NEAR_M - z) / (after[2] - z)
        for axis, (here, there) in enumerate(((x, after[0]), (y, after[1]))):
            points[axis, :, 0] = here / z
            points[axis, :, 1] = (here + share * (there - here)) / NEAR_M
    inside = np.stack([ahead, passing], axis=1).reshape(2 * count, faces)
    return points.reshape(2, 2 * count, faces), inside
