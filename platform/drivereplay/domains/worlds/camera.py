"""The pinhole camera. World axes: x, y on the ground, z up. Camera axes: x right, y down, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at one moment.

    Attributes:
        rotation: (3, 3) camera to world; its columns are the camera's right, down and forward in the world.
        position: (3,) metres.
        focal_px: Focal length, the same in both directions.
        centre_px: Principal point (cx, cy); pixels are continuous, the first one's centre is (0.5, 0.5).
        size_px: (width, height).
    """

    rotation: Array
    position: Array
    focal_px: float
    centre_px: tuple[float, float]
    size_px: tuple[int, int]

    @property
    def pose(self) -> Array:
        """(4, 4) camera to world."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.position
        return pose

    @property
    def intrinsics(self) -> Array:
        """(3, 3) K."""
        (cx, cy), focal = self.centre_px, self.focal_px
        return np.array([[focal, 0.0, cx], [0.0, focal, cy], [0.0, 0.0, 1.0]])

    def to_camera(self, points: Array) -> Array:
        """World points (..., 3) in camera axes."""
        return (points - self.position) @ self.rotation

    def project(self, points: Array) -> Array:
        """Pixels (..., 2) of world points (..., 3) that lie in front of the camera."""
        local = self.to_camera(points)
        return local[..., :2] / local[..., 2:] * self.focal_px + np.asarray(self.centre_px)

    def rays(self, columns: Array, rows: Array) -> Array:
        """Directions (..., 3) in camera axes, with z = 1, of pixels."""
        x = (columns - self.centre_px[0]) / self.focal_px
        y = (rows - self.centre_px[1]) / self.focal_px
        return np.stack(np.broadcast_arrays(x, y, np.ones(())), axis=-1)


def view_rotation(yaw_rad: float, pitch_rad: float = 0.0, roll_rad: float = 0.0) -> Array:
    """Camera to world (3, 3): looks along `yaw` (about the world's z), up by `pitch`, turned by `roll`."""
    # plain numbers: numpy takes ten times as long for arrays of three
    cy, sy, cp, sp, cr, sr = (float(f(angle)) for angle in (yaw_rad, pitch_rad, roll_rad) for f in (np.cos, np.sin))
    forward, right = (cy * cp, sy * cp, sp), (sy, -cy, 0.0)
    # forward × right
    down = (sp * cy, sp * sy, -(cy * cp) * cy - sy * cp * sy)
    return np.array([[cr * r + sr * d, cr * d - sr * r, f] for r, d, f in zip(right, down, forward, strict=True)])


def look_at(position: Array, target: Array, roll_rad: float = 0.0) -> Array:
    """Camera to world (3, 3) of a camera at `position` that looks at `target`."""
    x, y, z = (np.asarray(target, float) - np.asarray(position, float)).tolist()
    return view_rotation(float(np.arctan2(y, x)), float(np.arctan2(z, np.hypot(x, y))), roll_rad)


def lens(width: int, height: int, field_of_view_deg: float) -> float:
    """Focal length in pixels for a horizontal field of view at 5:3; narrower pictures see less, never more."""
    return max(width, height * 5 / 3) / 2 / float(np.tan(np.radians(field_of_view_deg) / 2))
