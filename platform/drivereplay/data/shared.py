"""Decoded pictures that a user's processes on a machine share, in memory that goes with the last of them."""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from drivereplay.errors import SpecError
from drivereplay.storage import private_directory

_WAYS = 16
"""Slots in which a picture may lie. With few, some find no room long before all is full, and one that is missing costs
a seek and the decoding of a group of pictures."""
_HEAD = 16
_NAME = "drivereplay-pictures"


class SharedPictures:
    """A hash table of pictures of one size in an anonymous file (`memfd_create`), bounded, without locks.

    The first process makes the file and writes down where it is: its own number, and that of the descriptor, in a
    small file of the temporary directory. Others open it by way of `/proc`. Nothing is left in memory when all have
    ended, however they ended; where the first has ended, the next to come makes another file.

    Each slot has the picture's name (a hash) and a checksum of both; what does not match, as when two processes write
    at once, is not there.

    Args:
        picture_bytes: Bytes of a picture.
        budget_bytes: Bytes of all pictures, at most.
        rendezvous: The small file; one in the temporary directory, of this user and these sizes, if None.

    Raises:
        OSError: The system has no such memory to share; also where the small file is somebody else's.
    """

    def __init__(self, picture_bytes: int, budget_bytes: int, rendezvous: Path | None = None) -> None:
        self._bytes = picture_bytes
        self._sets = max(1, budget_bytes // (picture_bytes * _WAYS))
        heads = self._sets * _WAYS * _HEAD
        # pictures begin on a page
        self._pictures = -(-heads // 4096) * 4096
        size = self._pictures + self._sets * _WAYS * picture_bytes
        name = f"{_NAME}-{picture_bytes}-{self._sets}"
        if not hasattr(os, "memfd_create"):
            raise OSError(errno.ENOSYS, "there is no memfd_create on this system")
        if rendezvous is None:
            try:
                rendezvous = private_directory() / name
            except SpecError as error:
                raise OSError(errno.EACCES, str(error)) from error
        with _locked(rendezvous) as where:
            found = _found(where, name, size)
            self._file = _made(where, name, size) if found is None else found
        self._closed = weakref.finalize(self, os.close, self._file)

    def read(self, name: bytes) -> NDArray[np.uint8] | None:
        """The picture's bytes (picture_bytes,), or None if it is not there."""
        digest = xxhash.xxh3_64_intdigest(name)
        first = digest % self._sets * _WAYS
        heads = self._heads(first)
        for way in np.flatnonzero(heads[:, 0] == digest).tolist():
            picture = np.empty(self._bytes, np.uint8)
            if os.preadv(self._file, [picture.data], self._place(first + way)) != self._bytes:
                return None
            if xxhash.xxh3_64_intdigest(picture.data, digest) == heads[way, 1]:
                return picture
        return None

    def write(self, name: bytes, picture: NDArray[np.uint8]) -> None:
        """Put a picture there, in the place of another one if need be."""
        digest = xxhash.xxh3_64_intdigest(name)
        first = digest % self._sets * _WAYS
        names = self._heads(first)[:, 0]
        if digest in names:
            return
        free = np.flatnonzero(names == 0)
        way = int(free[0]) if len(free) else (digest // self._sets) % _WAYS
        data = np.ascontiguousarray(picture).data.cast("B")
        os.pwrite(self._file, data, self._place(first + way))
        head = np.array([digest, xxhash.xxh3_64_intdigest(data, digest)], np.uint64)
        os.pwrite(self._file, head.data, (first + way) * _HEAD)

    def close(self) -> None:
        """Let go of the memory; it is freed when nobody holds it any more."""
        self._closed()

    def _heads(self, first: int) -> NDArray[np.uint64]:
        """(_WAYS, 2) names and checksums of the slots from `first` on."""
        return np.frombuffer(os.pread(self._file, _WAYS * _HEAD, first * _HEAD), np.uint64).reshape(_WAYS, 2)

    def _place(self, slot: int) -> int:
        return self._pictures + slot * self._bytes


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, made if it is not there, with nobody else inside."""
    import fcntl

    where = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(where).st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to somebody else")
        fcntl.flock(where, fcntl.LOCK_EX)
        yield where
    finally:
        os.close(where)


def _found(where: int, name: str, size: int) -> int | None:
    """The memory that `where` tells of, if it is there still."""
    try:
        process, descriptor = map(int, os.pread(where, 64, 0).split())
        place = f"/proc/{process}/fd/{descriptor}"
        if not os.readlink(place).startswith(f"/memfd:{name} "):  # noqa: PTH115 (a link that leads to no path)
            return None
        found = os.open(place, os.O_RDWR | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    # between the two looks the process may have ended and another one come
    if os.fstat(found).st_size == size and os.readlink(f"/proc/self/fd/{found}").startswith(f"/memfd:{name} "):  # noqa: PTH115
        return found
    os.close(found)
    return None


def _made(where: int, name: str, size: int) -> int:
    """New memory, of which `where` tells."""
    file = os.memfd_create(name)
    os.ftruncate(file, size)
    os.ftruncate(where, 0)
    os.pwrite(where, f"{os.getpid()} {file}".encode(), 0)
    return file
