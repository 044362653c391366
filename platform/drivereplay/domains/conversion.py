"""From a data set's own labels to the one annotation schema: collecting rows, poses, boxes of 3-D cuboids."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from drivereplay.domains.annotations import write_annotations
from drivereplay.errors import DataError

CONVERSION_VERSION = 3
"""Goes up when the same files are converted to other rows, so that what lies converted is made anew."""

FORWARD_LEFT_UP = np.asarray([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Rotation (3, 3) that takes camera axes (right, down, forward) to vehicle axes (forward, left, up)."""


class Rows:
    """Rows of both annotation tables of one video. What is not given is null."""

    def __init__(self) -> None:
        self.frames: dict[str, list[Any]] = defaultdict(list)
        self.objects: dict[str, list[Any]] = defaultdict(list)

    def frame(
        self,
        number: int,
        *,
        time_s: float | None = None,
        camera: NDArray[np.float64] | None = None,
        pose: NDArray[np.float64] | None = None,
    ) -> None:
        """One frame.

        Args:
            number: Frame number, from 0.
            time_s: Seconds from the first frame.
            camera: (3, 3) intrinsics in pixels.
            pose: (4, 4) camera (right, down, forward) to world (z up) in metres.
        """
        k = np.full((3, 3), np.nan) if camera is None else camera
        matrix = np.full((4, 4), np.nan) if pose is None else pose
        values = {
            "frame": number,
            "time_s": math.nan if time_s is None else time_s,
            "fx_px": k[0, 0],
            "fy_px": k[1, 1],
            "cx_px": k[0, 2],
            "cy_px": k[1, 2],
            **{f"pose_{r}{c}": matrix[r, c] for r in range(3) for c in range(4)},
        }
        for name, value in values.items():
            self.frames[name].append(value)

    def object(
        self,
        number: int,
        identity: int,
        name: str,
        *,
        box: Sequence[float] | NDArray[np.float64] | None = None,
        visible: float | None = None,
        position: Sequence[float] | NDArray[np.float64] | None = None,
        size: Sequence[float] | NDArray[np.float64] | None = None,
        heading: float | None = None,
    ) -> None:
        """One object in one frame.

        Args:
            box: x1, y1, x2, y2 in pixels.
            visible: Share in [0, 1].
            position: Centre in the world in metres.
            size: Length, width, height in metres.
            heading: About the world's up axis, in radians, counter-clockwise from its x axis.
        """
        nothing = (math.nan,) * 4
        groups: list[tuple[tuple[str, ...], Any]] = [
            (("frame", "id", "class"), (number, identity, name)),
            (("x1_px", "y1_px", "x2_px", "y2_px"), nothing if box is None else box),
            (("visible",), (math.nan if visible is None else visible,)),
            (("x_m", "y_m", "z_m"), nothing[:3] if position is None else position),
            (("length_m", "width_m", "height_m"), nothing[:3] if size is None else size),
            (("heading_rad",), (math.nan if heading is None else heading,)),
        ]
        for names, values in groups:
            for column, value in zip(names, values, strict=True):
                self.objects[column].append(value)

    def write(self, directory: Path, size: tuple[int, int]) -> None:
        """Write both tables; `size` is (width, height) in pixels of what the boxes refer to."""
        frames: Mapping[str, list[Any]] = self.frames or {"frame": []}
        objects: Mapping[str, list[Any]] = self.objects or {"frame": [], "id": []}
        write_annotations(directory, frames=frames, objects=objects, size=size)


Made = tuple[Rows, tuple[int, int]]
"""Rows and the (width, height) in pixels that they refer to."""

_DAMAGE = (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError, pa.ArrowException, csv.Error)
"""What reading a file raises that is not what it should be."""


def converted(
    out: Path, source: str, stamps: Sequence[Path], make: Callable[[], Made | None], names: Sequence[str] = ()
) -> str | None:
    """Directory of the annotations of one recording, made unless it is there and of the same files.

    Args:
        out: Directory that holds all converted annotations.
        source: Names the recording; stands in the message where it cannot be converted.
        stamps: All files and directories that the rows are made of, whether they are there or not.
        make: Gives rows and (width, height), or None where the files say nothing; there is no directory then.
        names: What else the rows depend on, such as the names of the pictures.

    Raises:
        DataError: The files are not what they should be; the message names the source.
        OSError: The annotations cannot be written.
    """
    origin = (CONVERSION_VERSION, source, [_stamp(path) for path in stamps], tuple(names))
    directory = out / hashlib.sha256(repr(origin).encode()).hexdigest()[:24]
    if not (directory / "objects.parquet").exists():
        try:
            made = make()
        except _DAMAGE as error:
            raise DataError(f"The annotations of {source} cannot be read: {error!r}.", _FIX) from error
        if made is None:
            return None
        rows, size = made
        try:
            rows.write(directory, size)
        except DataError as error:
            raise DataError(f"{source}: {error.what.removeprefix(f'{directory}: ')}", error.fix) from error
    return str(directory)


_FIX = "Fetch or write them again, or remove them."


def _stamp(path: Path) -> Any:
    """Changes when a file does, or any file of a directory; None where nothing is there."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                return sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.is_file())
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def identity_of(token: str) -> int:
    """A number for a textual identity; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(token.encode(), digest_size=8).digest(), "little") >> 1


def rotation(w: float, x: float, y: float, z: float) -> NDArray[np.float64]:
    """(3, 3) rotation of a quaternion, which need not be of length 1."""
    q = np.asarray([w, x, y, z], dtype=np.float64)
    w, x, y, z = q / np.linalg.norm(q)
    return np.asarray(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def rigid(matrix: NDArray[np.floating], translation: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """(4, 4) from a rotation and a translation."""
    result = np.eye(4)
    result[:3, :3] = matrix
    result[:3, 3] = translation
    return result


def yaw(matrix: NDArray[np.float64]) -> float:
    """Heading of a body whose x axis points forward, in a world whose z axis points up."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))


def cuboid_box(
    body: NDArray[np.float64],
    size: Sequence[float] | NDArray[np.float64],
    pose: NDArray[np.float64],
    camera: NDArray[np.float64],
    picture: tuple[int, int],
) -> tuple[list[float], float] | None:
    """The smallest box around what of a projected cuboid is in the picture, and its share of the box around it all.

    What is less than 0.1 m in front of the camera, or behind it, is cut away first.

    Args:
        body: (4, 4) cuboid (x forward, z up, origin in its centre) to world.
        size: Length, width, height in metres.
        pose: (4, 4) camera to world.
        camera: (3, 3) intrinsics.
        picture: (width, height) in pixels.

    Returns:
        None where no part lies in front of the camera or nothing of it is in the picture.
    """
    signs = np.asarray([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])
    corners = body[:3, :3] @ (signs * np.asarray(size)).T + body[:3, 3:]
    # (8, 3): column and row times depth, and depth, so that the picture's edges are planes
    points = (camera @ pose[:3, :3].T @ (corners - pose[:3, 3:])).T
    width, height = picture
    edges = np.asarray([[1.0, 0.0, 0.0], [-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, -1.0, height]])
    ahead, within = points[:, 2] >= _NEAR_M, points @ edges.T >= 0
    if not ahead.any() or (ahead.all() and not within.any(axis=0).all()):
        return None
    faces = [points]
    if not (ahead.all() and within.all()):
        faces = [_cut(points[face], np.asarray([0.0, 0.0, 1.0]), _NEAR_M) for face in _FACES]
    whole = _bounds(faces)
    if not within.all():
        for edge in edges:
            faces = [_cut(face, edge, 0.0) for face in faces]
    inside = _bounds(faces)
    if whole is None or inside is None:
        return None
    inside = inside.clip(0, picture)
    area, of = float(np.prod(inside[1] - inside[0])), float(np.prod(whole[1] - whole[0]))
    if area <= 0 or of <= 0:
        return None
    return inside.ravel().tolist(), area / of


_NEAR_M = 0.1
_FACES = np.asarray([[0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6], [0, 2, 6, 4], [1, 3, 7, 5]])
"""Corners of each face, in order around it; corner 4a + 2b + c has the signs a, b, c."""


def _cut(face: NDArray[np.float64], plane: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """The part of a convex polygon (N, 3) where plane · p ≥ least (Sutherland and Hodgman's algorithm)."""
    beyond = face @ plane - least
    if (beyond >= 0).all():
        return face
    found = []
    for n, (point, here) in enumerate(zip(face, beyond.tolist(), strict=True)):
        before = beyond[n - 1]
        if (here >= 0) != (before >= 0):
            found.append(point + here / (here - before) * (face[n - 1] - point))
        if here >= 0:
            found.append(point)
    return np.asarray(found).reshape(-1, 3)


def _bounds(faces: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Least and greatest column and row, (2, 2), of polygons given as column and row times depth, and depth."""
    points = np.concatenate(faces)
    if not len(points):
        return None
    pixels = points[:, :2] / points[:, 2:]
    return np.stack([pixels.min(axis=0), pixels.max(axis=0)])
