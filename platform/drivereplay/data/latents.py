"""What an autoencoder made of clips, kept on disk: a sweep encodes each clip once, whatever the number of its trials.

An entry is found by the content of the clip's frames and by what made it, so it cannot be taken for another one's. Each
is a file of its own in safetensors format behind a checksum, put there whole by a rename: processes and nodes that
share the directory write the same bytes, and a damaged file is made anew.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay import telemetry
from drivereplay.errors import DataError

Arrays = dict[str, NDArray[np.generic]]
_SUFFIX = ".latents"
_SUM = 4
_LOOK_AGAIN_BYTES = 256 << 20
"""After so much was written the room on the disk is looked at again."""


class LatentCache:
    """Named arrays for clips, by content.

    Args:
        directory: Shared by everything that encodes; it is made.
        maker: Depends on all that the arrays depend on besides the frames.
        share: Most of the free room on the disk, with what is taken already, that all entries may take; those written
            longest ago go first.
    """

    def __init__(self, directory: Path, maker: str, share: float = 0.5) -> None:
        self._root = directory
        self._share = share
        self._directory = directory / hashlib.blake2b(maker.encode(), digest_size=8).hexdigest()
        self._directory.mkdir(parents=True, exist_ok=True)
        # at the first entry that is written; a trial that finds everything need not look through the directory
        self._since = _LOOK_AGAIN_BYTES
        self.full = False
        """Whether the disk had no room; nothing is written any more, reading goes on."""

    def key(self, frames: NDArray[np.uint8]) -> str:
        """Name of a clip's entry, of its frames (T, H, W, 3)."""
        digest = hashlib.blake2b(repr(frames.shape).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(frames).data)
        return digest.hexdigest()

    def get(self, key: str) -> Arrays | None:
        """The arrays of an entry; None where there is none or its bytes are damaged."""
        found = self._read(key)
        telemetry.total("drivereplay_cache_clips", 1, result="miss" if found is None else "hit")
        return found

    def _read(self, key: str) -> Arrays | None:
        from safetensors.numpy import load

        try:
            stored = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        content = stored[:-_SUM]
        if len(stored) < _SUM or zlib.crc32(content).to_bytes(_SUM, "little") != stored[-_SUM:]:
            return None
        return dict(load(content))

    def put(self, key: str, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Keep an entry; does nothing once the disk is full.

        Raises:
            DataError: The directory cannot be written for another reason.
        """
        from safetensors.numpy import save

        if self.full:
            return
        content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        path = self._path(key)
        part = path.with_name(f".{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(content + zlib.crc32(content).to_bytes(_SUM, "little"))
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise DataError(
                    f"The latent cache {self._root} cannot be written: {error}.", "Set training.cache to false."
                ) from error
            self.full = True
        self._since += len(content)
        if self._since > _LOOK_AGAIN_BYTES:
            self.make_room()

    def make_room(self) -> int:
        """Remove the entries written longest ago until all take no more than their share; how many were removed."""
        self._since = 0
        found = []
        for path in self._root.glob(f"*/*/*{_SUFFIX}"):
            try:
                state = path.stat()
            except FileNotFoundError:  # another process makes room too
                continue
            found.append((state.st_mtime_ns, state.st_blocks * 512, path))
        used = sum(size for _, size, _ in found)
        limit = self._share * (shutil.disk_usage(self._root).free + used)
        removed = 0
        for _, size, path in sorted(found):
            if used <= limit:
                break
            path.unlink(missing_ok=True)
            used -= size
            removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self._directory / key[:2] / f"{key}{_SUFFIX}"
