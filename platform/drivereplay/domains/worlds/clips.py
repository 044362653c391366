"""The clips of a world by number: each is a pure function of its number and of what is asked of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.worlds.registry import WORLDS, world_named
from drivereplay.domains.worlds.world import Footage, Shot
from drivereplay.errors import SpecError

Subset = Literal["regular", "rare-motion"]


@dataclass(frozen=True)
class WorldClips:
    """An endless numbered series of clips; nothing is rendered until one is asked for.

    Attributes:
        world: A key of `WORLDS`.
        seed: Seed of the world.
        split: `regular`, `rare-motion` or `both` (even numbers are regular, odd ones rare).
        frames: Frames of each clip.
        fps: Frames per second.
        height: Height in pixels.
        width: Width in pixels.
    """

    world: str
    seed: int
    split: str
    frames: int
    fps: float
    height: int
    width: int

    def check(self) -> None:
        """Refuse what no clip can be rendered for.

        Raises:
            SpecError: The world, its split, or a size is impossible.
        """
        world = world_named(self.world)
        for name, least in (("frames", 1), ("height", 8), ("width", 8)):
            value = getattr(self, name)
            if value < least:
                raise SpecError(f"World {self.world}: {name} is {value}.", f"Ask for at least {least}.")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise SpecError(f"World {self.world}: fps is {self.fps}.", "Ask for a positive number.")
        if self.split not in ("regular", "rare-motion", "both"):
            raise SpecError(f"World {self.world}: split '{self.split}'.", "It is regular, rare-motion or both.")
        if self.split != "regular" and not world.driving:
            names = ", ".join(sorted(name for name, other in WORLDS.items() if other.driving))
            raise SpecError(f"World {self.world} has no {self.split} split.", f"Only these have: {names}.")

    def subset(self, clip: int) -> Subset:
        """Which motion a clip shows."""
        rare = self.split == "rare-motion" or (self.split == "both" and clip % 2 == 1)
        return "rare-motion" if rare else "regular"

    def shot(self, clip: int) -> Shot:
        """The clip with this number."""
        return Shot(self.seed, clip, self.frames, self.fps, self.height, self.width, self.subset(clip))

    def render(self, clip: int) -> NDArray[np.uint8]:
        """Frames (T, H, W, 3) uint8 RGB."""
        return world_named(self.world).render(self.shot(clip))

    def record(self, clip: int) -> Footage:
        """The same frames with their annotations, whose measuring takes about half as long again."""
        return world_named(self.world).record(self.shot(clip))

    def annotate(self, clip: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The annotations alone: columns of `annotations.FRAME_SCHEMA` and of `annotations.OBJECT_SCHEMA`."""
        return world_named(self.world).annotate(self.shot(clip))


def render_clip(
    world: str, clip: int, *, frames: int, fps: float, height: int, width: int, seed: int = 0, split: str = "regular"
) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) uint8 RGB of one clip of a world, rendered in memory.

    They are bit for bit what `write_world` with the same values encodes as clip number `clip`; only the loss of the
    video's coding is missing.

    Args:
        world: A key of `WORLDS`.
        clip: Number of the clip, from 0 without end; the same number and values give the same frames.
        frames: Frames of the clip.
        fps: Frames per second.
        height: Height in pixels.
        width: Width in pixels.
        seed: Seed of the world.
        split: `regular`, `rare-motion` or `both` (even numbers are regular, odd ones rare).

    Raises:
        SpecError: There is no such world, or no clip of it can be rendered with these values.
    """
    clips = WorldClips(world, seed, split, frames, fps, height, width)
    clips.check()
    if clip < 0:
        raise SpecError(f"World {world}: there is no clip {clip}.", "Clips are numbered from 0.")
    return clips.render(clip)
