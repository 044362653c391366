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


def duplicates(looks: Mapping[str, Sequence[int]], digests: Mapping[str, str]) -> dict[str, str]:
    """Videos that show what an earlier one shows: name → name of the first of its kind.

    Files of the same content are found by their digest. Others by a 64-bit difference hash for each second: at least 4
    distinct ones, of which 80 % have a partner within 3 bits in the other video. Two hashes within 3 bits agree in at
    least one of four 16-bit bands, so only videos that share a band are compared: the cost grows with the number of
    videos, not with its square, unless they are alike.

    Args:
        looks: Hashes of each video, in a stable order.
        digests: Hash of each file's content.
    """
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    bands: dict[tuple[int, int], list[str]] = defaultdict(list)
    distinct: dict[str, NDArray[np.uint64]] = {}
    for name, values in looks.items():
        same = first.setdefault(digests[name], name)
        if same != name:
            found[name] = same
            continue
        hashes = _telling(values)
        if len(hashes) < _LEAST:
            continue
        keys = {(band, int(value) >> 16 * band & 0xFFFF) for value in hashes for band in range(_BANDS)}
        near: dict[str, int] = defaultdict(int)
        for key in keys:
            for other in bands[key]:
                near[other] += 1
        for other in sorted(near, key=lambda other: -near[other]):
            if near[other] >= _LEAST * _SHARE and _alike(hashes, distinct[other]):
                found[name] = other
                break
        else:
            distinct[name] = hashes
            for key in keys:
                bands[key].append(name)
    return found


def shared_footage(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Videos of one domain that show what a video of another one shows: name → the other's name.

    Args:
        ours: Name → (hashes, digest) of videos that would be trained on.
        theirs: Name → (hashes, digest) of videos that are held out.
    """
    looks = {("held out", name): value[0] for name, value in theirs.items()}
    looks |= {("train", name): value[0] for name, value in ours.items()}
    digests = {("held out", name): value[1] for name, value in theirs.items()}
    digests |= {("train", name): value[1] for name, value in ours.items()}
    keys = {repr(key): key for key in looks}
    found = duplicates({k: looks[key] for k, key in keys.items()}, {k: digests[key] for k, key in keys.items()})
    pairs = {keys[a]: keys[b] for a, b in found.items()}
    return {a[1]: b[1] for a, b in pairs.items() if a[0] == "train" and b[0] == "held out"}


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
