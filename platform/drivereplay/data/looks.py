"""What the thumbnails of a video's frames tell: cuts, hashes for finding duplicates, frames that repeat, empty ones."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CUT_FACTOR = 8.0
_CUT_LEAST = 18.0
_HASH_EVERY_S = 1.0
MOVES_PER_S = 8
"""Samples a second of the cells that change."""
_LAG = 2
"""Samples apart that are compared."""
_CHANGED = 8.0
"""Levels of grey by which some part of a cell changes where something moves; noise and coding stay below."""
_FIXED_CELLS = 32.0
"""Mean number of 64 cells that change, up to which a camera is taken to stand still."""
_SAME_MAX, _SAME_MEAN = 4, 0.25
"""Largest and mean difference of thumbnails of one frame that was coded twice: 4 and .2 at most for H.264 at CRF 23 and
32 and for MPEG-4, against 8 and .5 at least between frames of anything that moves (`docs/data.md`)."""
_MOVES_MAX, _MOVES_MEAN = 8, 0.3
_AROUND_S = 2.0
"""A frame is a repetition only if something moves so little before and after it; else nothing may move at all."""
_EMPTY = 3
"""Levels from the darkest to the brightest pixel of a thumbnail that shows nothing."""

_ROWS = np.asarray([0, 2, 4, 7, 9, 11, 13, 16])
_COLUMNS = np.arange(0, 32, 4)
_GREY = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class Look:
    """What a video's thumbnails tell, for the index.

    Attributes:
        hashes: (N,) uint64, a 64-bit difference hash for each second.
        moves: (2S,) uint64, masks of the 8×8 cells that become brighter, and darker, in each of S steps of a quarter
            second, eight a second; empty where the camera moves, as nearly all cells then change.
        repeated: (R,) int64, frames that show the same as the one before, while there is motion less than 2 s before
            and after them.
        empty: Number of frames that are black or of one colour.
    """

    hashes: NDArray[np.uint64]
    moves: NDArray[np.uint64]
    repeated: NDArray[np.int64]
    empty: int


class Looks:
    """Takes the thumbnails of a video in order; memory does not grow with their size."""

    def __init__(self) -> None:
        self._hashes: list[np.uint64] = []
        self._empty = 0
        self._hashed_s = -math.inf
        self._last: NDArray[np.int16] | None = None
        self._changes: list[float] = []
        self._largest: list[int] = []
        self._times: list[float] = []
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=_LAG + 1)
        self._moves: list[np.uint64] = []

    def add(self, thumbnail: NDArray[np.uint8], time_s: float) -> None:
        """Take the next frame.

        Args:
            thumbnail: (18, 32, 3) RGB.
            time_s: When it is shown, in seconds.
        """
        look = thumbnail.astype(np.int16)
        if self._last is not None:
            difference = np.abs(look - self._last)
            self._changes.append(float(difference.mean()))
            self._largest.append(int(difference.max()))
        self._empty += bool((np.ptp(look, axis=(0, 1)) <= _EMPTY).all())
        if time_s >= self._hashed_s + _HASH_EVERY_S:
            self._hashes.append(difference_hash(thumbnail))
            self._hashed_s = time_s
        self._last = look
        first = self._times[0] if self._times else time_s
        self._times.append(time_s)
        self._sample(thumbnail, time_s - first)

    def _sample(self, thumbnail: NDArray[np.uint8], passed_s: float) -> None:
        """Compare with the sample before, at every multiple of 1/8 s that has passed."""
        due = len(self._moves) // 2 + len(self._recent)
        # a gap is no reason to fill memory with samples of one frame
        for _ in range(min(MOVES_PER_S * 2, int(passed_s * MOVES_PER_S + 1e-6) + 1 - due)):
            self._recent.append(thumbnail.astype(np.float32) @ _GREY)
            if len(self._recent) > _LAG:
                difference = self._recent[-1] - self._recent[0]
                self._moves += [_cells(difference), _cells(-difference)]
                self._recent.popleft()

    @property
    def cuts(self) -> list[int]:
        """First frames of new shots: a change many times as large as those around it."""
        return cuts(np.asarray(self._changes))

    def look(self) -> Look:
        """All of it, once the last frame has been taken."""
        return Look(np.asarray(self._hashes, dtype=np.uint64), self._masks(), self._repeated(), self._empty)

    def _masks(self) -> NDArray[np.uint64]:
        masks = np.asarray(self._moves, dtype=np.uint64).reshape(-1, 2)
        changed = ones(masks[:, 0] | masks[:, 1]) if len(masks) else np.zeros(1)
        return masks.ravel() if changed.mean() <= _FIXED_CELLS else masks.ravel()[:0]

    def _repeated(self) -> NDArray[np.int64]:
        change, largest = np.asarray(self._changes), np.asarray(self._largest)
        if not len(change):
            return np.zeros(0, np.int64)
        same = (largest <= _SAME_MAX) & (change <= _SAME_MEAN)
        moving = (largest >= _MOVES_MAX) & (change >= _MOVES_MEAN)
        times = np.asarray(self._times[1:])
        before = np.maximum.accumulate(np.where(moving, times, -np.inf))
        after = np.minimum.accumulate(np.where(moving, times, np.inf)[::-1])[::-1]
        near = (times - before <= _AROUND_S) & (after - times <= _AROUND_S)
        return np.flatnonzero(same & near) + 1


def cuts(change: NDArray[np.float64]) -> list[int]:
    """First frames of new shots, from the mean change of each frame but the first."""
    found = []
    for n in np.flatnonzero(change > _CUT_LEAST).tolist():
        around = np.concatenate([change[max(0, n - 8) : n], change[n + 1 : n + 9]])
        usual = float(np.median(around)) if len(around) else 0.0
        if change[n] > _CUT_FACTOR * max(usual, 0.5):
            found.append(n + 1)
    return found


def difference_hash(look: NDArray[np.uint8]) -> np.uint64:
    """64 bits: whether each of 8×8 regions of a frame is brighter than its right neighbour."""
    import cv2

    small = cv2.resize(look.astype(np.float32) @ _GREY, (9, 8), interpolation=cv2.INTER_AREA)
    return _packed(small[:, 1:] > small[:, :-1])


def ones(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bits that are 1, for each value."""
    octets = np.ascontiguousarray(values)[..., None].view(np.uint8)
    return np.unpackbits(octets, axis=-1).sum(axis=-1, dtype=np.int64)


def _cells(difference: NDArray[np.float32]) -> np.uint64:
    cells = np.maximum.reduceat(np.maximum.reduceat(difference, _ROWS, axis=0), _COLUMNS, axis=1)
    return _packed(cells >= _CHANGED)


def _packed(bits: NDArray[np.bool_]) -> np.uint64:
    return np.uint64(np.packbits(bits.ravel()).view(np.uint64)[0])
