"""Clips of a simulated world that are rendered when they are needed: nothing is written, and there is no last one."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.duplicates import Footage
from drivereplay.data.index import SCHEMA, ClipIndex, IngestReport, Window
from drivereplay.domains.annotations import clip_of_columns
from drivereplay.domains.recording import ClipAnnotations
from drivereplay.domains.worlds import WorldClips
from drivereplay.domains.worlds.writer import WORLD_VERSION
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec, WorldSource

FIRST_TRAINING = 1 << 20
"""World number of the first training clip. Written worlds count from 0, so theirs are never met."""
FIRST_HELD_OUT = 1 << 31
"""World number of the first held-out clip; training clips end before it."""
HELD_OUT = 4096
"""Held-out clips; evaluation draws `evaluation.clips` of them."""


class RenderedIndex(ClipIndex):
    """The clips of a world, numbered in each split like those of any index.

    Training clip n is clip `FIRST_TRAINING` + n of the world and held-out clip n is `FIRST_HELD_OUT` + n, each as long
    as a clip. Training clips do not end within any run: the plan's permutation goes over two thousand million of them,
    so that an epoch never ends and each sample is a clip that was not seen before.

    Args:
        name: The domain's name.
        clip: Size, frames and rate of the clips.
        source: World, seed and split.

    Raises:
        SpecError: The world has no such split, or no clip of this size.
    """

    rendered = True

    def __init__(self, name: str, clip: ClipSpec, source: WorldSource) -> None:
        report = IngestReport(domain=name, videos=0, clips={"train": 0, "evaluation": HELD_OUT}, seconds=0.0)
        super().__init__(name, clip, SCHEMA.empty_table(), report)
        self._clips = WorldClips(
            source.world, source.seed, source.split, clip.frames, clip.fps, clip.height, clip.width
        )
        self._clips.check()
        self._trained_on = "all"

    @property
    def endless(self) -> bool:
        """Unless a replay buffer keeps some of them."""
        return self._chosen is None

    def identity(self) -> Iterator[str]:
        """The world, its version, and which clips are trained on."""
        yield repr((WORLD_VERSION, self._clips, self._trained_on))

    @property
    def total(self) -> int:
        """Training clips before a buffer chose among them."""
        return self._size("train", self._trained_on)

    def trained_on(self, subset: str) -> RenderedIndex:
        """The same index with only the training clips of a subset; what is held out stays as it is.

        Raises:
            DataError: The world's split has no clip of that subset.
        """
        if not self._size("train", subset):
            raise DataError(
                f"Domain '{self.name}' has no training clip of subset '{subset}': its split is {self._clips.split}.",
                "Set source.split to both or to that subset.",
            )
        index = copy.copy(self)
        index._trained_on = subset
        return index

    def footage(self, split: str) -> dict[str, Footage]:
        """Nothing: no other footage shows what has never been rendered."""
        return {}

    def count(self, split: str, subset: str = "all") -> int:
        """Number of clips of `train` or `evaluation`."""
        if split == "train" and subset == "all":
            return self.total if self._chosen is None else len(self._chosen)
        return self._size(split, subset)

    def window(self, split: str, n: int, subset: str = "all") -> Window:
        """Clip n of a split.

        Raises:
            DataError: There is no such clip.
        """
        if not 0 <= n < self.count(split, subset):
            raise DataError(
                f"Domain '{self.name}' has {self.count(split, subset)} {split} clips; there is no clip {n}."
            )
        if split == "train" and subset == "all":
            n, subset = int(self.numbers(np.asarray(n))), self._trained_on
        first = FIRST_TRAINING if split == "train" else FIRST_HELD_OUT
        halved = self._clips.split == "both" and subset != "all"
        number = first + (2 * n + int(subset == "rare-motion") if halved else n)
        frames, clip = range(self.clip.frames), self.clip
        key = f"{self._clips.world}-{number}"
        return Window(
            domain=self.name,
            key=key,
            path="",
            images=(),
            frames=tuple(frames),
            times_s=tuple(frame / clip.fps for frame in frames),
            start_s=0.0,
            annotations=None,
            subset=self._clips.subset(number),
            source_size=(clip.width, clip.height),
            reader="world",
            interval_s=1 / clip.fps,
            bytes=0,
            modified_ns=0,
            group=key,
            rendered=(self._clips, number),
        )

    def videos(self, split: str) -> list[str]:
        """None: there are no files."""
        return []

    def _size(self, split: str, subset: str) -> int:
        whole = FIRST_HELD_OUT - FIRST_TRAINING if split == "train" else HELD_OUT
        if subset in ("all", self._clips.split):
            return whole
        return whole // 2 if self._clips.split == "both" else 0


def rendered(window: Window, clip: ClipSpec) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) uint8 RGB of a window that is rendered, at the clip's size: no codec has touched them."""
    clips, number = _of(window, clip)
    return clips.render(number)


def rendered_annotations(window: Window, clip: ClipSpec) -> ClipAnnotations:
    """What is known about a window that is rendered, in pixels of the clip's size."""
    clips, number = _of(window, clip)
    frames, objects = clips.annotate(number)
    return clip_of_columns(frames, objects, clip)


def _of(window: Window, clip: ClipSpec) -> tuple[WorldClips, int]:
    assert window.rendered is not None
    clips, number = window.rendered
    return dataclasses.replace(clips, height=clip.height, width=clip.width), number
