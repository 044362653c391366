"""Replay buffers: only some clips of a replay domain are kept, as in continual learning."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex
from drivereplay.data.permutation import permuted
from drivereplay.errors import DataError
from drivereplay.spec import BufferSpec
from drivereplay.storage import Storage

_CANDIDATES = 16
"""k-centre looks at no more than so many times N clips, drawn at random."""
_THUMBNAIL = (16, 24)
_TOGETHER = 64


def buffered(index: ClipIndex, buffer: BufferSpec, seed: int, kept: Storage | None = None) -> ClipIndex:
    """The index with only the clips that the buffer keeps; itself where it keeps all.

    Args:
        index: A replay domain.
        buffer: Which clips, and how many.
        seed: Key of the draws.
        kept: Where a k-centre choice, which costs decoding, is kept for the next run.
    """
    count = index.count("train")
    if buffer.kind == "all" or buffer.clips is None or buffer.clips >= count:
        return index
    if buffer.kind == "first":
        return index.kept(np.arange(buffer.clips))
    if buffer.kind == "reservoir":
        # a uniform choice of N clips: what reservoir sampling ends with, without passing over them
        return index.kept(np.sort(_drawn(buffer.clips, count, seed, index.name)))
    return index.kept(_centres(index, buffer.clips, seed, kept))


def k_centres(features: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Greedy k-centre (Gonzalez 1985; a 2-approximation): each next point is the farthest from those taken.

    Args:
        features: (N, F). The first point taken is the one nearest to the mean.

    Returns:
        (min(k, N),) int64 in the order in which they were taken.
    """
    taken = [int(((features - features.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((features - features[taken[0]]) ** 2).sum(axis=1)
    while len(taken) < min(k, len(features)):
        taken.append(int(distance.argmax()))
        distance = np.minimum(distance, ((features - features[taken[-1]]) ** 2).sum(axis=1))
    return np.asarray(taken, dtype=np.int64)


def _drawn(k: int, count: int, seed: int, name: str) -> NDArray[np.int64]:
    return permuted(np.arange(min(k, count)), count, "buffer", seed, name)


def _centres(index: ClipIndex, k: int, seed: int, kept: Storage | None) -> NDArray[np.int64]:
    from drivereplay.data.cache import fingerprint

    name = f"k-centre-{fingerprint(index)}{index.choice}-{k}-{seed}.json"
    if kept is not None and kept.exists(name):
        return np.asarray(json.loads(kept.read(name)), dtype=np.int64)
    candidates = np.sort(_drawn(_CANDIDATES * k, index.count("train"), seed, index.name))
    features, usable = _features(index, candidates)
    if not len(usable):
        raise DataError(f"Domain '{index.name}': no clip can be read to choose a buffer from.", "Ingest it again.")
    chosen = np.sort(candidates[usable[k_centres(features, k)]])
    if kept is not None:
        kept.write(name, json.dumps(chosen.tolist()).encode())
    return chosen


def _features(index: ClipIndex, clips: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(M, F) features of the clips that can be read, and their places: small mean picture and small mean change."""
    small = index.clip.model_copy(update={"height": _THUMBNAIL[0], "width": _THUMBNAIL[1]})
    decoder = Decoder(small)
    rows, usable = [], []
    for start in range(0, len(clips), _TOGETHER):
        windows = [index.window("train", int(n)) for n in clips[start : start + _TOGETHER]]
        frames, failed = decoder.decode(windows)
        for n, clip in enumerate(frames):
            if n not in failed:
                values = clip.astype(np.float32) / 255
                change = np.abs(np.diff(values, axis=0)).mean(axis=0)
                rows.append(np.concatenate([values.mean(axis=0).ravel(), change.ravel()]))
                usable.append(start + n)
    decoder.close()
    return np.stack(rows) if rows else np.zeros((0, 1), np.float32), np.asarray(usable, dtype=np.int64)
