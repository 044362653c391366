"""What a world is: a name and a way to record clips, each a pure function of what is asked for."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray


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
    """One line for `drivereplay worlds --list`."""
    driving: ClassVar[bool] = False
    """Whether it is seen from a moving car; such worlds have a rare-motion split."""

    @abstractmethod
    def record(self, shot: Shot) -> Footage:
        """Simulate and render one clip."""

    def rng(self, shot: Shot) -> np.random.Generator:
        """The clip's own random numbers."""
        rare = int(shot.subset == "rare-motion")
        return np.random.default_rng([zlib.crc32(self.name.encode()), shot.seed, shot.clip, rare])
