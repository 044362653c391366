"""A scene as arrays: built once per clip from solids, then posed once per frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.camera import Camera
from drivereplay.domains.worlds.solids import Body, Solid, newell

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Scene:
    """P faces of S solids on B bodies that make up N objects. Body 0 is the world itself and never moves.

    Coordinates stand first and faces last, so that numpy works on long rows.

    Attributes:
        corners: (3, 8, P) metres in the axes of the face's body; shorter faces repeat their last corner.
        counts: (P,) corners of each face.
        normals: (3, P) outward unit vectors.
        planes: (P,) distance of the face's plane from the origin of its body along its normal.
        axes: (2, 3, P) unit vectors along which the texture runs.
        middles: (3, P) middle of each face.
        radii: (P,) distance of its farthest corner from there.
        colours: (P, 3) float32.
        glows: (P,) float32.
        textures: (P,)
        bodies: (P,) body of each face.
        solids: (P,) solid of each face, −1 for the ground; the faces of a solid stand together.
        boxes: (3, 8, S) corners of each solid's box in the axes of its body, x fastest, then y, then z.
        solid_bodies: (S,)
        body_objects: (B,) number of the object, −1 for scenery.
        classes: (N,) names.
        sizes_m: (N, 3) length, width, height of the 3-D boxes.
        main_bodies: (N,) the body whose pose is the object's.
    """

    corners: Array
    counts: Index
    normals: Array
    planes: Array
    axes: Array
    middles: Array
    radii: Array
    colours: NDArray[np.float32]
    glows: NDArray[np.float32]
    textures: Index
    bodies: Index
    solids: Index
    boxes: Array
    solid_bodies: Index
    body_objects: Index
    classes: tuple[str, ...]
    sizes_m: Array
    main_bodies: Index


@dataclass(frozen=True)
class Look:
    """Light and weather.

    Attributes:
        sky: RGB at the top of the picture.
        haze: RGB at the horizon, and what distant things fade to.
        sun: (3,) unit vector towards the sun.
        ambient: Light where the sun does not reach; with `sunlight` it adds up to about 1.
        sunlight: Light of a face turned to the sun.
        haze_m: Distance at which a share 1/e is left of a thing's own colour.
        headlight: Strength of the camera's headlights; 0 is none.
        shadow: Light that is left in a cast shadow.
        rain: Streaks per picture of 96×160.
    """

    sky: tuple[float, float, float] = (120.0, 165.0, 225.0)
    haze: tuple[float, float, float] = (205.0, 215.0, 225.0)
    sun: tuple[float, float, float] = (0.35, 0.5, 0.79)
    ambient: float = 0.55
    sunlight: float = 0.5
    haze_m: float = 260.0
    headlight: float = 0.0
    shadow: float = 0.55
    rain: int = 0


@dataclass(frozen=True)
class Moment:
    """Where everything is at one time: (B, 3, 3) turns, (B, 3) places, (B,) whether it is there, and the camera."""

    rotations: Array
    translations: Array
    present: NDArray[np.bool_]
    camera: Camera


@dataclass(frozen=True)
class Take:
    """A whole clip before it is rendered.

    Attributes:
        scene: What there is.
        rotations: (T, B, 3, 3) body to world.
        translations: (T, B, 3) metres.
        present: (T, B)
        cameras: T of them.
        look: Light and weather.
        seed: Of what is random in the pictures themselves (rain).
    """

    scene: Scene
    rotations: Array
    translations: Array
    present: NDArray[np.bool_]
    cameras: tuple[Camera, ...]
    look: Look
    seed: int = 0

    def moment(self, frame: int) -> Moment:
        """The scene at one frame."""
        return Moment(self.rotations[frame], self.translations[frame], self.present[frame], self.cameras[frame])


@dataclass
class SceneBuilder:
    """Collects ground, scenery and objects; `build` makes arrays of them. The ground's order is its painting order."""

    _ground: list[tuple[int, Solid]] = field(default_factory=list)
    _solids: list[tuple[int, Solid]] = field(default_factory=list)
    _objects: list[int] = field(default_factory=lambda: [-1])
    _classes: list[str] = field(default_factory=list)
    _sizes: list[tuple[float, float, float]] = field(default_factory=list)
    _mains: list[int] = field(default_factory=list)

    def ground(self, *patches: Solid) -> None:
        """Add flat patches; later ones lie on top."""
        self._ground += [(0, patch) for patch in patches]

    def scenery(self, *solids: Solid) -> None:
        """Add solids that never move."""
        self._solids += [(0, solid) for solid in solids]

    def object(self, name: str, body: Body) -> int:
        """Add something that has an identity; gives the number of its body, its limbs' bodies follow in order."""
        number, main = len(self._classes), len(self._objects)
        self._classes.append(name)
        self._sizes.append(body.size_m)
        self._mains.append(main)
        for part in (body, *body.limbs):
            self._solids += [(len(self._objects), solid) for solid in part.solids]
            self._ground += [(len(self._objects), patch) for patch in part.shadow]
            self._objects.append(number)
        return main

    def build(self) -> Scene:
        """The scene."""
        # body numbers grow with the order of objects, so an object's faces stand together
        solids = sorted(self._solids, key=lambda item: item[0])
        parts = [patch for _, patch in self._ground] + [solid for _, solid in solids]
        # (3, 8, P): the rest works on long rows
        corners = np.ascontiguousarray(np.concatenate([part.corners for part in parts]).transpose(2, 1, 0))
        flat = np.array([len(patch.corners) for _, patch in self._ground], np.int64)
        counts = np.array([len(solid.corners) for _, solid in solids], np.int64)
        first = flat.sum() + np.cumsum(counts) - counts
        on_ground = np.repeat(np.array([body for body, _ in self._ground], np.int64), flat)
        bodies = np.array([body for body, _ in solids], np.int64)
        normals = _normals(corners)
        low, high = corners.min(axis=1), corners.max(axis=1)
        middles = (low + high) / 2
        away = corners - middles[:, None]
        return Scene(
            corners=corners,
            counts=_counts(corners),
            normals=normals,
            planes=_dot(normals, corners[:, 0]),
            axes=_texture_axes(normals),
            middles=middles,
            radii=np.sqrt(_dot(away, away)).max(axis=0),
            colours=np.concatenate([part.colours for part in parts]).astype(np.float32),
            glows=np.concatenate([part.glows for part in parts]).astype(np.float32),
            textures=np.concatenate([part.textures for part in parts]),
            bodies=np.concatenate([on_ground, np.repeat(bodies, counts)]),
            solids=np.concatenate([np.full(len(on_ground), -1), np.repeat(np.arange(len(solids)), counts)]),
            boxes=_solid_boxes(low, high, first),
            solid_bodies=bodies,
            body_objects=np.array(self._objects, np.int64),
            classes=tuple(self._classes),
            sizes_m=np.array(self._sizes, float).reshape(-1, 3),
            main_bodies=np.array(self._mains, np.int64),
        )


Option = TypeVar("Option")


def picked(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of them, as `rng.choice` draws it, which takes ten times as long."""
    return options[int(rng.integers(len(options)))]


def headings(angles_rad: Array) -> Array:
    """Turns (..., 3, 3) about the world's z."""
    c, s = np.cos(angles_rad), np.sin(angles_rad)
    turns = np.zeros((*np.shape(angles_rad), 3, 3))
    turns[..., 0, 0], turns[..., 0, 1], turns[..., 1, 0], turns[..., 1, 1] = c, -s, s, c
    turns[..., 2, 2] = 1.0
    return turns


def still(frames: int, scene: Scene) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Rotations, translations and presence of a scene in which nothing has moved yet."""
    count = len(scene.body_objects)
    rotations = np.broadcast_to(np.eye(3), (frames, count, 3, 3)).copy()
    return rotations, np.zeros((frames, count, 3)), np.ones((frames, count), bool)


def _normals(corners: Array) -> Array:
    """Unit normals (3, P) of faces (3, 8, P)."""
    normals = newell(corners.transpose(2, 1, 0)).T
    # a face without area has no normal (NaN), looks nowhere and is never painted
    with np.errstate(invalid="ignore"):
        unit: Array = np.ascontiguousarray(normals / np.sqrt(_dot(normals, normals)))
    return unit


def _dot(a: Array, b: Array) -> Array:
    product: Array = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return product


def _counts(corners: Array) -> Index:
    """Corners of faces (3, 8, P) without the repetitions of the last one."""
    same = (corners[:, 1:] == corners[:, :-1]).all(axis=0)
    # repetitions stand at the end: count how many there are in a row from there
    repeated = np.logical_and.accumulate(same[::-1], axis=0).sum(axis=0)
    counts: Index = corners.shape[1] - repeated
    return counts


def _solid_boxes(low: Array, high: Array, first: Index) -> Array:
    """(3, 8, S) boxes of solids whose faces begin at `first`; faces reach from `low` to `high` (3, P)."""
    if not len(first):
        return np.empty((3, 8, 0))
    ends = np.minimum.reduceat(low, first, axis=1), np.maximum.reduceat(high, first, axis=1)
    return np.ascontiguousarray(_boxes(ends[0].T, ends[1].T).transpose(2, 1, 0))


def _boxes(low: Array, high: Array) -> Array:
    """Corners (..., 8, 3) of boxes between opposite corners (..., 3)."""
    bits = np.array(list(np.ndindex(2, 2, 2)), bool)[:, ::-1]
    return np.where(bits, high[..., None, :], low[..., None, :])


def _texture_axes(normals: Array) -> Array:
    """(2, 3, P): textures run up walls and along the world's axes on the ground, so that neighbouring faces match."""
    up = np.array([[0.0], [0.0], [1.0]]) - normals[2] * normals
    flat = np.sqrt(_dot(up, up)) < 0.3
    up[:, flat] = np.array([[0.0], [1.0], [0.0]]) - normals[1, flat] * normals[:, flat]
    up /= np.sqrt(_dot(up, up))
    across = [up[(n + 1) % 3] * normals[(n + 2) % 3] - up[(n + 2) % 3] * normals[(n + 1) % 3] for n in range(3)]
    return np.stack([np.stack(across), up])


def box_corners(size_m: Iterable[float]) -> Array:
    """(8, 3) corners of an object's box in its own axes: origin on the ground below the middle."""
    length, width, height = size_m
    return _boxes(np.array([-length / 2, -width / 2, 0.0]), np.array([length / 2, width / 2, height]))
