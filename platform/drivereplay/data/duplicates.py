"""Footage that is there twice: the same file, or the same pictures in another file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NEAR_BITS = 3
"""Two pictures are taken for one if so many of their 64 hash bits differ or fewer."""
_LEAST = 4
"""A shorter video has too few hashes to tell it from another of the same scene."""
_SHARE = 0.8
_BANDS = 4


def duplicates(looks: Mapping[str, Sequence[int]], digests: Mapping[str, str]) -> dict[str, list[str]]:
    """Videos that show what earlier ones show: name → names of these, the likest first.

    Files of the same content are found by their digest. Others by a 64-bit difference hash for each second: at least 4
    distinct ones, of which 80 % have a partner within 3 bits in the other video. Two hashes within 3 bits agree in at
    least one of four 16-bit bands, so only videos that share a band are compared; nor are two that are linked already
    by way of others. So the cost grows with the number of videos, not with its square, and still all that are alike
    are linked: `linked` says which those are.

    Args:
        looks: Hashes of each video, in a stable order.
        digests: Hash of each file's content.
    """
    first: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    seen = _Seen()
    links = Links()
    for name, values in looks.items():
        same = first.setdefault(digests[name], name)
        if same != name:
            found[name] = [same]
            links.join(name, same)
            continue
        hashes = _telling(values)
        for other in seen.near(hashes):
            if links.of(other) != links.of(name) and seen.alike(hashes, other):
                found.setdefault(name, []).append(other)
                links.join(name, other)
        seen.put(name, hashes)
    return found


def shared_footage(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Videos of one domain that show what a video of another one shows: name → the other's name.

    Args:
        ours: Name → (hashes, digest) of videos that would be trained on; each is compared with all of theirs.
        theirs: Name → (hashes, digest) of videos that are held out.
    """
    files = {digest: name for name, (_, digest) in theirs.items()}
    seen = _Seen()
    for name, (values, _) in theirs.items():
        seen.put(name, _telling(values))
    found: dict[str, str] = {}
    for name, (values, digest) in ours.items():
        hashes = _telling(values)
        other = files.get(digest) or next((o for o in seen.near(hashes) if seen.alike(hashes, o)), None)
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


class _Seen:
    """Videos by the bands of their hashes."""

    def __init__(self) -> None:
        self._bands: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._hashes: dict[str, NDArray[np.uint64]] = {}

    def put(self, name: str, hashes: NDArray[np.uint64]) -> None:
        """Add a video, unless it has too few hashes to be told from others."""
        if len(hashes) < _LEAST:
            return
        self._hashes[name] = hashes
        for key in _keys(hashes):
            self._bands[key].append(name)

    def near(self, hashes: NDArray[np.uint64]) -> list[str]:
        """Videos that may be alike, the likest first."""
        if len(hashes) < _LEAST:
            return []
        shared: dict[str, int] = defaultdict(int)
        for key in _keys(hashes):
            for other in self._bands.get(key, ()):
                shared[other] += 1
        return sorted((o for o in shared if shared[o] >= _LEAST * _SHARE), key=lambda other: -shared[other])

    def alike(self, hashes: NDArray[np.uint64], other: str) -> bool:
        """Whether 80 % of the shorter one's hashes have a partner in the other."""
        return _alike(hashes, self._hashes[other])


def _keys(hashes: NDArray[np.uint64]) -> set[tuple[int, int]]:
    return {(band, int(value) >> 16 * band & 0xFFFF) for value in hashes for band in range(_BANDS)}


def _telling(values: Sequence[int]) -> NDArray[np.uint64]:
    """The distinct hashes of pictures that show something: a flat picture has a hash of few bits or of nearly all."""
    hashes = np.unique(np.asarray(values, dtype=np.uint64))
    ones = _ones(hashes)
    return hashes[(ones >= 8) & (ones <= 56)]


def _alike(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> bool:
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    distance = _ones(short[:, None] ^ long[None, :]).min(axis=1)
    return bool((distance <= _NEAR_BITS).mean() >= _SHARE)


def _ones(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Number of bits that are 1, for each value."""
    octets = np.ascontiguousarray(values)[..., None].view(np.uint8)
    return np.unpackbits(octets, axis=-1).sum(axis=-1, dtype=np.int64)
