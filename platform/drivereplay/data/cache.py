"""Decoded clips kept on disk: a sweep decodes each window once, whatever the number of its trials.

A cache holds arrays of one shape for the clips 0 … N−1 of a split: clip n lies at n × its size in one sparse,
memory-mapped file, so only what was written takes room. A second file holds each clip's checksum; a clip is taken only
if its bytes still have it. Several processes may read and write at once: they write the same bytes for a clip.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from drivereplay import telemetry
from drivereplay.data.decode import DECODING_VERSION
from drivereplay.data.index import ClipIndex
from drivereplay.domains import local_directory
from drivereplay.errors import DataError
from drivereplay.spec import Spec
from drivereplay.storage import Storage

_PRESENT = np.uint64(1)
"""Set in every checksum, so that none is 0, which stands for a clip that was never written."""
_SHARE_OF_DISK = 0.5


class ClipCache:
    """Arrays of N clips on disk.

    Args:
        directory: Where the two files lie; it is made.
        name: Depends on everything that the arrays depend on.
        count: N.
        shape: Of one clip.
        dtype: Of one clip.
    """

    def __init__(self, directory: Path, name: str, count: int, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        self.directory = directory
        self.count = count
        self._shape = shape
        self._data_path = directory / f"{name}.clips"
        self._sums_path = directory / f"{name}.sums"
        self.full = False
        """Whether there is no room any more; nothing is written then, reading goes on."""
        directory.mkdir(parents=True, exist_ok=True)
        item = int(np.prod(shape)) * np.dtype(dtype).itemsize
        # an empty file cannot be mapped
        count = max(1, count)
        _sized(self._data_path, count * item)
        _sized(self._sums_path, count * 8)
        self._data = np.memmap(self._data_path, dtype=dtype, mode="r+", shape=(count, *shape))
        self._sums = np.memmap(self._sums_path, dtype=np.uint64, mode="r+", shape=(count,))

    def get(self, clips: NDArray[np.int64]) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        """(K, *shape) arrays of clips, and (K,) whether each is there and undamaged; others are left empty."""
        out = np.empty((len(clips), *self._shape), dtype=self._data.dtype)
        return out, self.read(clips, out, range(len(clips)))

    def read(self, clips: NDArray[np.int64], out: NDArray[np.generic], places: Sequence[int]) -> NDArray[np.bool_]:
        """Put clips at `places` of `out` (N, *shape); (K,) whether each is there and undamaged."""
        found = np.asarray(self._sums[clips] != 0)
        for n in np.flatnonzero(found).tolist():
            row = out[places[n]]
            row[...] = self._data[clips[n]]
            found[n] = _checksum(row) == self._sums[clips[n]]
        hits = int(found.sum())
        telemetry.total("drivereplay_cache_clips", hits, result="hit")
        telemetry.total("drivereplay_cache_clips", len(clips) - hits, result="miss")
        return found

    def has(self, clips: NDArray[np.int64]) -> bool:
        """Whether all of these were written; `get` says whether they are undamaged."""
        return bool((self._sums[clips] != 0).all())

    def put(self, clips: NDArray[np.int64], arrays: NDArray[np.generic]) -> None:
        """Write clips; does nothing once the disk is full or the cache was removed for another one."""
        if self.full:
            return
        try:
            for clip, array in zip(clips.tolist(), arrays, strict=True):
                # through the file and not the map: a full disk is then an error and no signal
                _written(self._data_path, clip * array.nbytes, array.tobytes())
                _written(self._sums_path, clip * 8, _checksum(array).tobytes())
        except OSError as error:
            # not there any more: an experiment of another process took the room
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.ENOENT):
                raise DataError(f"The clip cache {self._data_path} cannot be written: {error}.", _BYPASS) from error
            self.full = True

    def written(self) -> int:
        """Number of clips that are there."""
        return int((self._sums[:] != 0).sum())


_BYPASS = "Make room, or set training.cache to false."


def pixel_caches(spec: Spec, indexes: Sequence[ClipIndex]) -> list[ClipCache | None] | None:
    """The caches of decoded training clips of all domains; None where the experiment, or a domain, does without."""
    if not spec.training.cache:
        return None
    directory = local_directory(Storage.of(spec.storage).below(".shared")) / "cache" / "pixels"
    shape = (spec.clip.frames, spec.clip.height, spec.clip.width, 3)
    kept = [index for index in indexes if not index.rendered]
    caches = iter(_opened(directory, tuple((fingerprint(index), index.total) for index in kept), shape))
    return [None if index.rendered else next(caches) for index in indexes]


@functools.lru_cache(maxsize=16)
def _opened(directory: Path, caches: tuple[tuple[str, int], ...], shape: tuple[int, ...]) -> tuple[ClipCache, ...]:
    """The caches of one experiment; none of them makes room for another."""
    if directory.is_dir():
        there = sum(_taken(directory / f"{name}.clips") for name, _ in caches)
        whole = sum(count for _, count in caches) * int(np.prod(shape))
        make_room(directory, needed=max(0, whole - there), keep=[name for name, _ in caches])
    return tuple(ClipCache(directory, name, count, shape) for name, count in caches)


def fingerprint(index: ClipIndex) -> str:
    """Hash of what decoded training clips depend on: files' contents, times, cuts, split, the clip's definition, and
    the version of decoding."""
    definition = f"{DECODING_VERSION} {index.clip.model_dump_json()}"
    digest = hashlib.blake2b(definition.encode(), digest_size=16)
    for value in index.identity():
        digest.update(value.encode())
    return f"{index.name}-{digest.hexdigest()}"


def make_room(directory: Path, needed: int, keep: Iterable[str] = (), share: float = _SHARE_OF_DISK) -> list[str]:
    """Remove the caches that were written longest ago until this directory, with `needed` more bytes, takes no more
    than `share` of what is free on its disk together with what it takes already.

    Returns:
        Names of the caches that were removed.
    """
    used = {path: _taken(path) for path in directory.glob("*.clips")}
    limit = share * (shutil.disk_usage(directory).free + sum(used.values()))
    kept = set(keep)
    removed = []
    for path in sorted(used, key=_written_ns):
        if sum(used.values()) + needed <= limit:
            break
        if path.stem in kept:
            continue
        path.with_suffix(".sums").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        used.pop(path)
        removed.append(path.stem)
    return removed


def _taken(path: Path) -> int:
    """Bytes that a sparse file takes on the disk; 0 where another process has removed it."""
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _sized(path: Path, size: int) -> None:
    """Make a sparse file of this size unless it is there."""
    with path.open("ab") as file:
        if file.tell() != size:
            file.truncate(size)


def _written(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        done = 0
        while done < len(data):
            done += file.write(data[done:])


def _checksum(array: NDArray[np.generic]) -> np.uint64:
    # at the speed of memory; CRC-32 took four times as long as the copy itself
    return np.uint64(xxhash.xxh3_64_intdigest(np.ascontiguousarray(array).data)) | _PRESENT
