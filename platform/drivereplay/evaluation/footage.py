"""Frames of one clip with the estimates made from them, each made once and only when a metric asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip, ClipAnnotations

_T = TypeVar("_T")


@dataclass
class Footage:
    """One clip, real or generated, as the metrics see it.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB, context first.
        context: Leading frames that were given.
        fps: Frames per second.
        annotations: What is known of the real clip; a generated clip carries the real clip's, of which only the
            context frames are true of it.
        name: The clip's name.
        estimates: What has been estimated so far, by estimator name.
        pseudo: Whether the boxes are not annotated but found in the real video (`evaluation.pseudo`).
        real: The real clip of which this is another version; None where this is the real clip.
    """

    frames: NDArray[np.uint8]
    context: int
    fps: float
    annotations: ClipAnnotations | None = None
    name: str = ""
    estimates: dict[str, Any] = field(default_factory=dict, repr=False)
    pseudo: bool = False
    real: Footage | None = field(default=None, repr=False)

    @classmethod
    def of(cls, clip: Clip) -> Footage:
        """The real clip. A box of which nobody knows how much is seen counts as seen (`judged_annotations`)."""
        return cls(clip.frames, clip.context, clip.fps, judged_annotations(clip), clip.name)

    def with_frames(self, frames: NDArray[np.uint8]) -> Footage:
        """Another video of the same clip: same context, clock and annotations, other frames."""
        real = self if self.real is None else self.real
        return Footage(frames, self.context, self.fps, self.annotations, self.name, pseudo=self.pseudo, real=real)

    def estimate(self, name: str, make: Callable[[], _T]) -> _T:
        """The estimate called `name`, made by `make` the first time it is asked for."""
        if name not in self.estimates:
            self.estimates[name] = make()
        value: _T = self.estimates[name]
        return value

    @property
    def future(self) -> NDArray[np.uint8]:
        """The frames to be predicted, (F, H, W, 3)."""
        return self.frames[self.context :]

    @property
    def grey(self) -> NDArray[np.uint8]:
        """(T, H, W) uint8 luma."""
        return self.estimate("grey", lambda: np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in self.frames]))

    @property
    def diagonal_px(self) -> float:
        """Length of the picture's diagonal."""
        return float(np.hypot(*self.frames.shape[1:3]))

    @property
    def has_own_boxes(self) -> bool:
        """Whether the clip's own annotations, not pseudo ground truth, hold any box."""
        known = self.annotations
        return known is not None and not self.pseudo and bool(np.isfinite(known.boxes_px).any())


def judged_annotations(clip: Clip) -> ClipAnnotations | None:
    """The clip's annotations as the metrics take them: `visible` is 1 where a box is known and its share is NaN."""
    known = clip.annotations
    if known is None:
        return None
    unknown = np.isnan(known.visible) & np.isfinite(known.boxes_px).all(-1)
    if not unknown.any():
        return known
    return replace(known, visible=np.where(unknown, np.float32(1), known.visible))
