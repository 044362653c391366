"""When the frames of a video are shown, and which of them make up a clip of a fixed frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_REGULAR = 0.1
"""Largest deviation from a constant frame rate, in frames, up to which the times need not be kept one by one."""
_JUMP_S = 2.0
_JUMP_FRAMES = 10.0
_GAP = 2.5
"""Longer than both, the time from one frame to the next is a gap in the footage, or the clock was set."""


def increasing(times_s: NDArray[np.float64]) -> bool:
    """Whether each frame is shown later than the one before it."""
    return bool((np.diff(times_s) > 0).all())


@dataclass(frozen=True)
class Timeline:
    """Times of the frames of one video, in seconds from its first frame.

    Attributes:
        frames: Number of frames F.
        interval_s: Mean time between frames, jumps left out; 0 for a single frame.
        times_s: (F,) float64 where the frame rate varies, None where it is constant.
        starts: First frame of each stretch of footage without a cut or a jump in time; begins with 0.
    """

    frames: int
    interval_s: float
    times_s: NDArray[np.float64] | None = None
    starts: tuple[int, ...] = (0,)

    @classmethod
    def of(cls, times_s: NDArray[np.float64], starts: Sequence[int] = (0,)) -> Timeline:
        """From the increasing times of all frames; where they jump a new stretch begins."""
        times = times_s - times_s[0]
        count = len(times)
        interval = float(times[-1] / (count - 1)) if count > 1 else 0.0
        steps = np.diff(times)
        jumps = steps > max(_JUMP_S, _JUMP_FRAMES * float(np.median(steps))) if count > 1 else np.zeros(0, bool)
        if jumps.any():
            interval = float(steps[~jumps].mean())
            starts = sorted({*starts, *(np.flatnonzero(jumps) + 1).tolist()})
        regular = np.abs(times - np.arange(count) * interval).max() <= _REGULAR * interval
        return cls(count, interval, None if regular else times, tuple(starts))

    @property
    def least_s(self) -> float:
        """Least time between frames; their mean time where the rate is constant."""
        return self.interval_s if self.times_s is None else float(np.diff(self.times_s).min())

    def time_s(self, frames: NDArray[np.int64]) -> NDArray[np.float64]:
        """Times of frames."""
        if self.times_s is None:
            return frames.astype(np.float64) * self.interval_s
        return self.times_s[frames]

    def nearest(self, times_s: NDArray[np.float64], first: int, last: int) -> NDArray[np.int64]:
        """The frame of first … last−1 that is nearest to each time; the earlier one of two equally near."""
        if self.times_s is None:
            frames = np.ceil(times_s / self.interval_s - 0.5 - 1e-6) if self.interval_s else np.zeros(len(times_s))
            return np.clip(frames.astype(np.int64), first, last - 1)
        times = self.times_s[first:last]
        after = np.clip(np.searchsorted(times, times_s), min(1, len(times) - 1), len(times) - 1)
        before = np.maximum(after - 1, 0)
        earlier = times_s - times[before] <= times[after] - times_s + 1e-9
        return first + np.where(earlier, before, after).astype(np.int64)

    def windows(self, frames: int, stride: int, fps: float) -> list[int]:
        """Number of windows of `frames` at `fps` in each stretch, their starts `stride` clip frames apart.

        A window fits if both its ends lie within half a source frame of a frame of the stretch. It is no clip where a
        gap lies inside it (see `gaps`), nor anywhere in a video that shows each frame for longer than a clip lasts.
        """
        return [len(numbers) for numbers in self.numbers(frames, stride, fps)]

    def numbers(self, frames: int, stride: int, fps: float) -> list[Sequence[int] | NDArray[np.int64]]:
        """Numbers of the windows of each stretch, counted with those that are left out."""
        found: list[Sequence[int] | NDArray[np.int64]] = []
        span = (frames - 1) / fps
        gaps = self.gaps(fps)
        for first, last in self.stretches():
            ends = self.time_s(np.asarray([first, last - 1]))
            spare = (ends[1] - ends[0] + self.usual_s / 2) * fps - (frames - 1)
            count = int(np.floor(spare / stride + 1e-6)) + 1 if spare > -1e-6 and last - first > 1 else 0
            if self.usual_s > span:
                found.append(range(0))
                continue
            inside = gaps[(gaps > first) & (gaps < last)]
            if not len(inside):
                found.append(range(count))
                continue
            starts = ends[0] + np.arange(count) * stride / fps
            near = max(self.usual_s, 1 / fps) / 2
            over = np.searchsorted(self.time_s(inside) - near, starts + 1e-9, side="right")
            begun = np.searchsorted(self.time_s(inside - 1) + near, starts + span - 1e-9, side="left")
            found.append(np.flatnonzero(over == begun))
        return found

    @property
    def usual_s(self) -> float:
        """Median time between frames; their mean time where the rate is constant."""
        return self.interval_s if self.times_s is None else float(np.median(np.diff(self.times_s)))

    def gaps(self, fps: float) -> NDArray[np.int64]:
        """(G,) first frames after a time without frames in which a clip of this rate would stand still.

        That is more than 2.5 times both the usual time between frames and that between a clip's; a cut or a jump is no
        gap, as a stretch begins there.
        """
        if self.times_s is None:
            return np.zeros(0, np.int64)
        wide = np.diff(self.times_s) > _GAP * max(self.usual_s, 1 / fps)
        found = np.flatnonzero(wide) + 1
        return found[~np.isin(found, self.starts)]

    def window(self, stretch: int, n: int, frames: int, stride: int, fps: float) -> tuple[float, NDArray[np.int64]]:
        """Start in seconds and source frames (frames,) int64 of the window of a stretch that has number n."""
        first, last = self.stretches()[stretch]
        start = float(self.time_s(np.asarray([first]))[0]) + n * stride / fps
        return start, self.nearest(start + np.arange(frames) / fps, first, last)

    def stretches(self) -> list[tuple[int, int]]:
        """(first, last + 1) of each stretch."""
        return list(zip(self.starts, (*self.starts[1:], self.frames), strict=True))
