"""Footage that is there twice: the same file, or the same pictures in another file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.looks import ones

_NEAR_BITS = 3
"""Two frames are taken for one if so many of their 64 hash bits differ or fewer."""
_LEAST = 4
"""A shorter video has too few hashes to tell it from another of the same scene, unless things move before a fixed
camera."""
_SHARE = 0.8
_BANDS = 4
_MOTION = 0.66
"""Share of all cell changes that two videos of one fixed camera have in common where they show the same footage.
Measured on four cameras (`docs/data.md`): .69 and more for most windows that were coded, scaled, trimmed and sampled
anew, .64 and less for other windows, .2 and less for nearly all."""
_TELLING_CHANGES = 64
"""So many changes of cells say what moves; fewer, that nothing does."""
_COMPARED = 50
"""Videos of one fixed camera that a video is compared with at most: those with motion at the likest places."""


class Footage(NamedTuple):
    """What duplicates are found by: `Look.hashes`, `Look.moves`, and the hash of the file's content."""

    hashes: Sequence[int]
    moves: Sequence[int]
    digest: str


def duplicates(footage: Mapping[str, Footage]) -> dict[str, list[str]]:
    """Videos that show what earlier ones show: name → names of these, the likest first.

    Files of the same content are found by their digest. Others by a 64-bit difference hash for each second: at least 4
    distinct ones, of which 80 % have a partner within 3 bits in the other video. Before a fixed camera all frames have
    much the same hash; there, what moves has to be the same as well. Two hashes within 3 bits agree in at least one of
    four 16-bit bands, so only videos that share a band are compared; nor are two that are linked already by way of
    others. So the cost grows with the number of videos, not with its square, and still all that are alike are linked:
    `linked` says which those are.

    Args:
        footage: By name, in a stable order.
    """
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    seen = _Seen()
    links = Links()
    for name, video in footage.items():
        same = first.setdefault(video.digest, name)
        if same != name:
            found[name] = [same]
            links.join(name, same)
            continue
        sight = _Sight.of(video)
        for other in seen.near(sight):
            if links.of(other) != links.of(name) and seen.alike(sight, other):
                found.setdefault(name, []).append(other)
                links.join(name, other)
        seen.put(name, sight)
    return found


def shared_footage(ours: Mapping[str, Footage], theirs: Mapping[str, Footage]) -> dict[str, str]:
    """Videos of one domain that show what a video of another one shows: name → the other's name.

    Args:
        ours: By name, videos that would be trained on; each is compared with all of theirs.
        theirs: By name, videos that are held out.
    """
    files = {video.digest: name for name, video in theirs.items()}
    seen = _Seen()
    for name, video in theirs.items():
        seen.put(name, _Sight.of(video))
    found: dict[str, str] = {}
    for name, video in ours.items():
        sight = _Sight.of(video)
        other = files.get(video.digest) or next((o for o in seen.near(sight) if seen.alike(sight, o)), None)
        if other is not None:
            found[name] = other
    return found


class Links:
    """Sets of names that are joined directly or by way of others (union-find)."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The name that stands for a set."""
        while (above := self._above.get(name, name)) != name:
            # halve the way for the next one who asks
            self._above[name] = name = self._above.get(above, above)
        return name

    def join(self, a: str, b: str) -> None:
        """Make one set of two; what stood for that of `b` stands for both."""
        self._above[self.of(a)] = self.of(b)


class _Sight(NamedTuple):
    """What one video is compared by.

    Attributes:
        hashes: Distinct hashes of frames that show something.
        changes: (S, 128) 1 where a cell became brighter (the first 64) or darker in a step; S is 0 if the camera moves.
    """

    hashes: NDArray[np.uint64]
    changes: NDArray[np.uint8]

    @classmethod
    def of(cls, video: Footage) -> _Sight:
        masks = np.ascontiguousarray(np.asarray(video.moves, dtype=np.uint64))
        return cls(_telling(video.hashes), np.unpackbits(masks.view(np.uint8)).reshape(-1, 128))

    @property
    def moving(self) -> bool:
        """Whether enough moves before a fixed camera to tell this footage from another."""
        return int(self.changes.sum()) >= _TELLING_CHANGES

    @property
    def least(self) -> int:
        """Distinct hashes that are needed."""
        return 1 if self.moving else _LEAST


class _Seen:
    """Videos by the bands of their hashes."""

    def __init__(self) -> None:
        self._bands: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._sights: dict[str, _Sight] = {}
        self._places: dict[str, NDArray[np.float32]] = {}

    def put(self, name: str, sight: _Sight) -> None:
        """Add a video, unless it has too few hashes to be told from others."""
        if len(sight.hashes) < sight.least:
            return
        self._sights[name] = sight
        if sight.moving:
            self._places[name] = _places(sight)
        for key in _keys(sight.hashes):
            self._bands[key].append(name)

    def near(self, sight: _Sight) -> list[str]:
        """Videos that may be alike, the likest first."""
        if len(sight.hashes) < sight.least:
            return []
        shared: dict[str, int] = defaultdict(int)
        for key in _keys(sight.hashes):
            for other in self._bands.get(key, ()):
                shared[other] += 1
        least = min(sight.least, len(sight.hashes)) * _SHARE
        near = sorted((o for o in shared if shared[o] >= least), key=lambda other: -shared[other])
        moving = [other for other in near if other in self._places] if sight.moving else []
        if len(moving) <= _COMPARED:
            return near
        likeness = np.stack([self._places[other] for other in moving]) @ _places(sight)
        likest = {moving[n] for n in np.argsort(-likeness)[:_COMPARED].tolist()}
        return [other for other in near if other in likest or other not in self._places]

    def alike(self, sight: _Sight, name: str) -> bool:
        """Whether 80 % of the shorter one's hashes have a partner in the other, and the same moves."""
        other = self._sights[name]
        if len(sight.changes) and len(other.changes) and sight.moving != other.moving:
            return False
        if min(len(sight.hashes), len(other.hashes)) < max(sight.least, other.least):
            return False
        if not (sight.moving and other.moving):
            return _alike(sight.hashes, other.hashes, _NEAR_BITS, _SHARE)
        # what moves says more than hashes of one second in eight frames, which a trimmed copy takes at other moments
        return _alike(sight.hashes, other.hashes, 2 * _NEAR_BITS, 0.5) and _common(sight, other) >= _MOTION


def _places(sight: _Sight) -> NDArray[np.float32]:
    """(128,) how often each cell changes, as a unit vector."""
    often = sight.changes.sum(axis=0).astype(np.float32)
    return often / np.linalg.norm(often)


def _common(a: _Sight, b: _Sight) -> float:
    """Share of their changes that two videos have in common where 80 % of the shorter one lie over the other, at best.

    The number in common for every shift in time is a correlation, taken by Fourier transform.
    """
    short, long = sorted((a.changes, b.changes), key=len)
    if not len(short):
        return 1.0  # the camera moves in one of them: that frames look alike says enough
    size = 1 << (len(short) + len(long) - 1).bit_length()
    spectra = [np.fft.rfft(changes.astype(np.float32), size, axis=0) for changes in (short, long)]
    common = np.fft.irfft((spectra[0].conj() * spectra[1]).sum(axis=1), size)
    spare = len(short) - int(np.ceil(_SHARE * len(short)))
    shifts = np.arange(-spare, len(long) - len(short) + spare + 1)
    total = np.zeros(len(shifts))
    for changes, begin in ((short, -shifts), (long, shifts)):
        sums = np.concatenate(([0], np.cumsum(changes.sum(axis=1, dtype=np.int64))))
        other = len(long) if changes is short else len(short)
        total += sums[np.clip(begin + other, 0, len(changes))] - sums[np.clip(begin, 0, len(changes))]
    both = common[shifts % size]
    return float((both / np.maximum(total - both, _TELLING_CHANGES / 2)).max())


def _keys(hashes: NDArray[np.uint64]) -> set[tuple[int, int]]:
    return {(band, int(value) >> 16 * band & 0xFFFF) for value in hashes for band in range(_BANDS)}


def _telling(values: Sequence[int]) -> NDArray[np.uint64]:
    """The distinct hashes of frames that show something: a flat frame has a hash of few bits or of nearly all."""
    hashes = np.unique(np.asarray(values, dtype=np.uint64))
    bits = ones(hashes)
    return hashes[(bits >= 8) & (bits <= 56)]


def _alike(a: NDArray[np.uint64], b: NDArray[np.uint64], near: int, share: float) -> bool:
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    distance = ones(short[:, None] ^ long[None, :]).min(axis=1)
    return bool((distance <= near).mean() >= share)
