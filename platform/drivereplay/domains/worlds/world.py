"""What a world is: a name and a way to stage clips, each a pure function of what is asked for."""

from __future__ import annotations

import itertools
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.raster import Drawing, draw_all
from drivereplay.domains.worlds.scene import Moment, Take
from drivereplay.domains.worlds.shading import rain, shade_all
from drivereplay.domains.worlds.truth import GroundTruth, ground_truth, measure

_MOST_FRAMES = 8
_SAMPLES = 1 << 19
"""Samples of the frames that are rendered together."""


@dataclass(frozen=True)
class Shot:
    """One clip that is asked for.

    Attributes:
        seed: Seed of the world.
        clip: Number of the clip within the world; clips are independent of each other.
        frames: Number of frames.
        fps: Frames per second.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        subset: `regular` (the dominant motion) or `rare-motion`.
    """

    seed: int
    clip: int
    frames: int
    fps: float
    height: int
    width: int
    subset: Literal["regular", "rare-motion"] = "regular"


@dataclass(frozen=True)
class Footage:
    """A recorded clip.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        frame_columns: Columns of `annotations.FRAME_SCHEMA`.
        object_columns: Columns of `annotations.OBJECT_SCHEMA`.
    """

    frames: NDArray[np.uint8]
    frame_columns: dict[str, Any]
    object_columns: dict[str, Any]


class World(ABC):
    """A simulated domain. A subclass is one file of this package."""

    name: ClassVar[str]
    """The name in the experiment file."""
    summary: ClassVar[str]
    """One line for lists."""
    driving: ClassVar[bool] = False
    """Whether it is seen from a moving car; such worlds have a rare-motion split."""

    @abstractmethod
    def stage(self, shot: Shot, rng: np.random.Generator) -> Take:
        """Build the scene of one clip and move everything in it; nothing is rendered yet.

        Args:
            shot: The clip.
            rng: The clip's own random numbers.
        """

    def take(self, shot: Shot) -> Take:
        """The clip before it is rendered."""
        rare = int(shot.subset == "rare-motion")
        return self.stage(shot, np.random.default_rng([zlib.crc32(self.name.encode()), shot.seed, shot.clip, rare]))

    def render(self, shot: Shot) -> NDArray[np.uint8]:
        """Frames (T, H, W, 3) uint8 RGB of one clip: those of `record`, without the cost of measuring annotations."""
        return np.concatenate([pictures for pictures, _ in render_all(self.take(shot))])

    def record(self, shot: Shot) -> Footage:
        """Stage and render one clip, and measure its annotations."""
        take = self.take(shot)
        pictures, drawings = zip(*render_all(take), strict=True)
        return Footage(np.concatenate(pictures), *_columns(take, shot.fps, itertools.chain(*drawings)))

    def annotate(self, shot: Shot) -> tuple[dict[str, Any], dict[str, Any]]:
        """`frame_columns` and `object_columns` of `record`, without the cost of colouring frames."""
        take = self.take(shot)
        drawings = (drawing for frames in _together(take) for drawing in _drawn(take, frames)[1])
        return _columns(take, shot.fps, drawings)

    def truth(self, shot: Shot, frame: int) -> GroundTruth:
        """Instance masks, depth and optical flow of one frame of a clip."""
        return ground_truth(self.take(shot), frame)


def render(take: Take, frame: int) -> tuple[NDArray[np.uint8], Drawing]:
    """One picture (H, W, 3) uint8 RGB of a take, and what was drawn for it."""
    pictures, (drawing,) = _rendered(take, range(frame, frame + 1))
    picture: NDArray[np.uint8] = pictures[0]
    return picture, drawing


def render_all(take: Take) -> Iterator[tuple[NDArray[np.uint8], list[Drawing]]]:
    """`render` for all frames in turn, some at a time: pictures (K, H, W, 3) and what was drawn for them."""
    for frames in _together(take):
        yield _rendered(take, frames)


def _rendered(take: Take, frames: range) -> tuple[NDArray[np.uint8], list[Drawing]]:
    moments, drawings = _drawn(take, frames)
    pictures = shade_all(take.scene, moments, drawings, take.look)
    if take.look.rain:
        for picture, frame in zip(pictures, frames, strict=True):
            picture[...] = rain(picture, take.look, np.random.default_rng([take.seed, frame]))
    return pictures, drawings


def _drawn(take: Take, frames: range) -> tuple[list[Moment], list[Drawing]]:
    moments = [take.moment(frame) for frame in frames]
    return moments, draw_all(take.scene, moments, samples_per_side(moments[0].camera.size_px[1]))


def _together(take: Take) -> Iterator[range]:
    """Frames in pieces that are worked on together: few enough to stay in a processor's cache."""
    width, height = take.cameras[0].size_px
    size = max(1, min(_MOST_FRAMES, _SAMPLES // (width * height * samples_per_side(height) ** 2)))
    count = len(take.cameras)
    for first in range(0, count, size):
        yield range(first, min(first + size, count))


def samples_per_side(height: int) -> int:
    """Samples along a pixel's side: small pictures need more of them for thin things to stay whole."""
    return 2 if height >= 80 else 3 if height >= 48 else 4


def _columns(take: Take, fps: float, drawings: Iterable[Drawing]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Frame and object columns of a take whose frames were drawn as `drawings`."""
    measured = [measure(take.scene, take.moment(t), drawing) for t, drawing in enumerate(drawings)]
    boxes, visible = (np.stack(values) for values in zip(*measured, strict=True))
    return _frame_columns(take, fps), _object_columns(take, boxes, visible)


def _frame_columns(take: Take, fps: float) -> dict[str, Any]:
    numbers = np.arange(len(take.cameras))
    columns: dict[str, Any] = {"frame": numbers, "time_s": numbers / fps}
    intrinsics = np.stack([camera.intrinsics for camera in take.cameras])
    for name, row, column in (("fx_px", 0, 0), ("fy_px", 1, 1), ("cx_px", 0, 2), ("cy_px", 1, 2)):
        columns[name] = intrinsics[:, row, column]
    poses = np.stack([camera.pose for camera in take.cameras])
    return columns | {f"pose_{r}{c}": poses[:, r, c] for r in range(3) for c in range(4)}


def _object_columns(take: Take, boxes: NDArray[np.float64], visible: NDArray[np.float64]) -> dict[str, Any]:
    """One row per frame and object that is there, of objects that are in the picture at some time."""
    scene = take.scene
    main = scene.main_bodies
    shown = np.isfinite(boxes[..., 0]).any(axis=0)
    frame, number = np.nonzero(take.present[:, main] & shown)
    body = main[number]
    turns = take.rotations[frame, body]
    sizes = scene.sizes_m[number]
    centres = take.translations[frame, body] + turns[:, :, 2] * sizes[:, 2:] / 2
    columns: dict[str, Any] = {
        "frame": frame,
        "id": number + 1,
        "class": np.array(scene.classes, dtype=object)[number] if len(number) else np.array([], dtype=object),
        "visible": visible[frame, number],
        "heading_rad": np.arctan2(turns[:, 1, 0], turns[:, 0, 0]),
    }
    for n, name in enumerate(("x1_px", "y1_px", "x2_px", "y2_px")):
        columns[name] = boxes[frame, number, n]
    for n, (place, side) in enumerate((("x_m", "length_m"), ("y_m", "width_m"), ("z_m", "height_m"))):
        columns[place], columns[side] = centres[:, n], sizes[:, n]
    return columns
