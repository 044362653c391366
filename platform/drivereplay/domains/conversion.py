"""From a data set's own labels to the one annotation schema: collecting rows, poses, boxes of 3-D cuboids."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.annotations import write_annotations

CONVERSION_VERSION = 1

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


def converted(out: Path, source: str, stamps: Sequence[Path], make: Callable[[], tuple[Rows, tuple[int, int]]]) -> str:
    """Directory of the annotations of one recording, made unless it is there and no older than `stamps`.

    Args:
        out: Directory that holds all converted annotations.
        source: Names the recording.
        stamps: Files that the annotations come from.
        make: Gives rows and (width, height).
    """
    ages = [path.stat().st_mtime_ns for path in stamps if path.exists()]
    name = hashlib.sha256(repr((CONVERSION_VERSION, source, ages)).encode()).hexdigest()[:24]
    directory = out / name
    if not (directory / "objects.parquet").exists():
        rows, size = make()
        rows.write(directory, size)
    return str(directory)


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
    """The smallest box around a projected cuboid, cut at the picture's edge, and the share of it that is left.

    Args:
        body: (4, 4) cuboid (x forward, z up, origin in its centre) to world.
        size: Length, width, height in metres.
        pose: (4, 4) camera to world.
        camera: (3, 3) intrinsics.
        picture: (width, height) in pixels.

    Returns:
        None where no corner lies in front of the camera or nothing of the box is in the picture.
    """
    signs = np.asarray([[a, b, c] for a in (-0.5, 0.5) for b in (-0.5, 0.5) for c in (-0.5, 0.5)])
    corners = body[:3, :3] @ (signs * np.asarray(size)).T + body[:3, 3:]
    seen = pose[:3, :3].T @ (corners - pose[:3, 3:])
    if (seen[2] < 0.1).any():
        return None
    pixels = (camera @ seen)[:2] / seen[2]
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    edge = np.asarray(picture, dtype=np.float64)
    cut_low, cut_high = np.clip(low, 0, edge), np.clip(high, 0, edge)
    area, whole = float(np.prod(cut_high - cut_low)), float(np.prod(high - low))
    if area <= 0 or whole <= 0:
        return None
    return [*cut_low.tolist(), *cut_high.tolist()], area / whole
