"""Thumbnails of a few frames of a video, against which a reader is checked in the ways in which readers are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drivereplay.videos.geometry import Fit

THUMBNAIL = Fit(height=18, width=32)
"""What frames are compared at, and cuts and near duplicates are found on."""
_PLACES = 6
"""Places spread evenly over a video, and as many key frames, at which a reader is checked; up to twice as many."""
_AROUND_KEYS = ((-12, 0, 2, 5), (-12, -1, 1, 4))
"""Frames that are read together around a key frame, the first ones around every other one.

decord miscounts where it leaps over the place of a key frame in the file, which lies before its place in time by as
many frames as the encoder reorders."""
_NEIGHBOURS = 2
_BEFORE = -min(map(min, _AROUND_KEYS)) + _NEIGHBOURS
_AFTER = max(map(max, _AROUND_KEYS)) + _NEIGHBOURS
_AGREE = 6.0
"""Largest mean difference, in levels of 255, between two readers' thumbnails of one frame."""


class Samples:
    """Collects thumbnails while a video is decoded from end to end: memory is bounded, whatever its length.

    Attributes:
        count: Frames so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._every = 1
        self._spread: dict[int, NDArray[np.uint8]] = {}
        self._latest: deque[NDArray[np.uint8]] = deque(maxlen=_BEFORE + 1)
        self._keys_seen = 0
        self._key_every = 1
        self._keys: dict[int, dict[int, NDArray[np.uint8]]] = {}

    def add(self, look: NDArray[np.uint8], *, key_frame: bool) -> None:
        """Take the (H, W, 3) uint8 thumbnail of the next frame."""
        number = self.count
        self.count += 1
        if self._near_spread(number):
            self._spread[number] = look
        if len(self._spread) > 6 * _PLACES:
            self._every *= 2
            self._spread = {n: kept for n, kept in self._spread.items() if self._near_spread(n)}
        for key, around in self._keys.items():
            if number <= key + _AFTER:
                around[number] = look
        self._latest.append(look)
        if key_frame and number:
            self._add_key(number)

    def _add_key(self, number: int) -> None:
        if self._keys_seen % self._key_every == 0:
            first = number - len(self._latest) + 1
            self._keys[number] = dict(enumerate(self._latest, first))
        self._keys_seen += 1
        if len(self._keys) > 2 * _PLACES:
            self._key_every *= 2
            self._keys = dict(list(self._keys.items())[::2])

    def _near_spread(self, number: int) -> bool:
        return number % self._every in (0, 1, self._every - 1)

    def reads(self) -> Iterator[list[int]]:
        """Ascending frame numbers to be read at once, by one reader that stays open: seeks from the end to the start,
        clips that cross a key frame from the end to the start, and a run from the start to the end by leaps."""
        spread = [number for number in sorted(self._spread) if number % self._every == 0]
        for number in reversed(spread):
            yield [number]
        clips = []
        for place, key in enumerate(sorted(self._keys)):
            near = (key + offset for offset in _AROUND_KEYS[place % len(_AROUND_KEYS)])
            clips.append([number for number in near if 0 <= number < self.count])
        yield from reversed(clips)
        yield sorted(set(spread).union(*clips))

    def alike(self, look: NDArray[np.uint8], number: int) -> bool:
        """Whether a (H, W, 3) uint8 thumbnail shows frame `number`, and not rather one of its neighbours."""
        kept = dict(self._spread)
        for around in self._keys.values():
            kept.update(around)
        if look.shape != kept[number].shape:
            return False

        def distance(n: int) -> float:
            return float(np.abs(look.astype(np.int16) - kept[n]).mean())

        near = range(number - _NEIGHBOURS, number + _NEIGHBOURS + 1)
        return distance(number) <= min(_AGREE, 1.25 * min(distance(n) for n in near if n in kept) + 0.25)
