"""From windows to frames: readers that stay open, and decoding in the order of files and time."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.images import read_image
from drivereplay.data.index import Window
from drivereplay.data.rendered import rendered
from drivereplay.data.shared import SharedPictures
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.videos.geometry import centre_cut, scaled_size
from drivereplay.videos.readers import READERS, Place

DECODING_VERSION = 3
"""Raised when the same index gives other frames. Version 1 could show those of another scene or episode, version 2
displaced ones of files with open groups of pictures."""

_OPEN_FILES = 16
_OPEN_BYTES = 256 << 20
_PICTURES_HELD = 8
"""Pictures of the source's size that an open file is thought to hold."""
_CHUNK_BYTES = 64 << 20
_REMEMBERED_BYTES = 256 << 20
"""Decoded frames that a decoder remembers, for windows that share them but come in another call."""
_SHARED_BYTES = 512 << 20
"""The same, of all decoders of a machine that share theirs."""


class Decoder:
    """Decodes windows to the clip's size. Files stay open from call to call; not for use by several threads.

    Args:
        clip: The clip.
        open_files: Most files that stay open.
        open_bytes: Most memory that open files are thought to hold; the one in use is open whatever it holds.
        share: Share decoded frames with this user's other decoders on the machine that do, where the system can.
    """

    def __init__(
        self, clip: ClipSpec, open_files: int = _OPEN_FILES, open_bytes: int = _OPEN_BYTES, *, share: bool = False
    ) -> None:
        self._clip = clip
        self._share = share
        self._limit = open_files
        self._limit_bytes = open_bytes
        self._readers: OrderedDict[_File, _Reader] = OrderedDict()
        self._remembered = self._memory()

    def decode(self, windows: Sequence[Window]) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Decode windows, each file from its start towards its end and frames that windows share only once.

        Args:
            windows: N windows, in any order.

        Returns:
            (N, T, H, W, 3) uint8 RGB in the order of `windows`, and the reason for each one that failed (its frames
            are then black and must not be used).
        """
        clip = self._clip
        frames = np.zeros((len(windows), clip.frames, clip.height, clip.width, 3), dtype=np.uint8)
        failed: dict[int, str] = {}
        read = [n for n, window in enumerate(windows) if window.rendered is None]
        for n in set(range(len(windows))) - set(read):
            frames[n] = rendered(windows[n], clip)
        order = sorted(read, key=lambda n: (*_recording(windows[n]), windows[n].frames))
        chunks = self._chunks(windows, order)
        if self._share and chunks:
            # decoders that begin at different places find more of each other's frames
            turn = os.getpid() % len(chunks)
            chunks = chunks[turn:] + chunks[:turn]
        for chunk in chunks:
            try:
                self._fill(windows, chunk, frames)
            except DataError as error:
                if len(chunk) == 1:
                    failed[chunk[0]] = error.what
                    continue
                # find out which of them it is
                for n in chunk:
                    try:
                        self._fill(windows, [n], frames)
                    except DataError as single:
                        failed[n] = single.what
        return frames, failed

    def close(self) -> None:
        """Close all files and forget their frames."""
        self._remembered.close()
        self._remembered = self._memory()
        while self._readers:
            self._readers.popitem()[1].close()

    def _memory(self) -> _Remembered | _Shared:
        if self._share:
            with contextlib.suppress(OSError):
                return _Shared(self._clip)
        return _Remembered(_REMEMBERED_BYTES)

    def _chunks(self, windows: Sequence[Window], order: list[int]) -> list[list[int]]:
        """Neighbouring windows of one recording, as many as share a piece of memory of bounded size."""
        clip = self._clip
        most = max(1, _CHUNK_BYTES // (clip.frames * clip.height * clip.width * 3))
        chunks: list[list[int]] = []
        for n in order:
            last = chunks[-1] if chunks else None
            if last and len(last) < most and _recording(windows[last[0]]) == _recording(windows[n]):
                last.append(n)
            else:
                chunks.append([n])
        return chunks

    def _fill(self, windows: Sequence[Window], chunk: list[int], out: NDArray[np.uint8]) -> None:
        shown = {n: _pictures(windows[n]) for n in chunk}
        pictures = {picture for n in chunk for picture in shown[n]}
        found = self._remembered.get(pictures)
        wanted = sorted(pictures - found.keys())
        if wanted:
            reader = self._reader(windows[chunk[0]])
            try:
                got = reader.read(wanted, windows[chunk[0]].interval_s)
            except DataError:
                # its state is unknown now
                self._readers.pop(_file(windows[chunk[0]])).close()
                raise
            read = dict(zip(wanted, got, strict=True))
            self._remembered.put(read)
            found |= read
        for n in chunk:
            for place, picture in enumerate(shown[n]):
                out[n, place] = found[picture]

    def _reader(self, window: Window) -> _Reader:
        file = _file(window)
        reader = self._readers.get(file)
        if reader is None:
            reader = _ImageReader(window, self._clip) if window.images else _VideoReader(window, self._clip)
            self._readers[file] = reader
            while len(self._readers) > 1 and self._too_many():
                self._readers.popitem(last=False)[1].close()
        else:
            self._readers.move_to_end(file)
        return reader

    def _too_many(self) -> bool:
        held = sum(reader.held_bytes for reader in self._readers.values())
        return len(self._readers) > self._limit or held > self._limit_bytes


class _Picture(NamedTuple):
    """Names one picture for as long as a decoder lives.

    A path and a frame's number do not: nuScenes' scenes lie below one directory and LeRobot's episodes in one file, and
    each counts its frames from 0. Together with the time in the file, or the image's name, they do.
    """

    frame: int
    time_s: float
    image: str
    path: str
    modified_ns: int
    bits: int


def _pictures(window: Window) -> list[_Picture]:
    images = window.images or ("",) * len(window.frames)
    return [
        _Picture(frame, time_s, image, window.path, window.modified_ns, window.bits)
        for frame, time_s, image in zip(window.frames, window.times_s, images, strict=True)
    ]


def _recording(window: Window) -> tuple[str, str, str]:
    return window.path, window.domain, window.key


_File = tuple[str, int, tuple[int, int], int]


def _file(window: Window) -> _File:
    """What an open reader is for: recordings may share it."""
    return window.path, window.modified_ns, window.source_size, window.bits


class _Remembered:
    """Decoded pictures, as many as a budget holds; those used longest ago are forgotten first."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._frames: OrderedDict[_Picture, NDArray[np.uint8]] = OrderedDict()

    def get(self, pictures: Iterable[_Picture]) -> dict[_Picture, NDArray[np.uint8]]:
        """Those pictures that are there."""
        found = {}
        for picture in pictures:
            frame = self._frames.get(picture)
            if frame is not None:
                self._frames.move_to_end(picture)
                found[picture] = frame
        return found

    def put(self, frames: Mapping[_Picture, NDArray[np.uint8]]) -> None:
        """Remember pictures that are not there yet."""
        for picture, frame in frames.items():
            # a copy: a view would keep alive all that was decoded with it
            self._frames[picture] = frame.copy()
            self._bytes += frame.nbytes
        while self._bytes > self._budget:
            self._bytes -= self._frames.popitem(last=False)[1].nbytes

    def close(self) -> None:
        """Forget them."""
        self._frames.clear()


class _Shared:
    """The same, shared with other processes."""

    def __init__(self, clip: ClipSpec) -> None:
        self._shape = (clip.height, clip.width, 3)
        self._resize = clip.resize
        self._pictures = SharedPictures(clip.height * clip.width * 3, _SHARED_BYTES)

    def get(self, pictures: Iterable[_Picture]) -> dict[_Picture, NDArray[np.uint8]]:
        """Those pictures that are there."""
        found = {}
        # an image that has vanished is not there
        with contextlib.suppress(OSError):
            for picture in pictures:
                frame = self._pictures.read(self._name(picture))
                if frame is not None:
                    found[picture] = frame.reshape(self._shape)
        return found

    def put(self, frames: Mapping[_Picture, NDArray[np.uint8]]) -> None:
        """Remember pictures; where the machine has no memory left, it does not."""
        with contextlib.suppress(OSError):
            for picture, frame in frames.items():
                self._pictures.write(self._name(picture), frame)

    def close(self) -> None:
        """Let go of them."""
        self._pictures.close()

    def _name(self, picture: _Picture) -> bytes:
        # of an image sequence the index has no time of change, and this memory outlives a run
        changed_ns = (Path(picture.path) / picture.image).stat().st_mtime_ns if picture.image else 0
        return repr((DECODING_VERSION, self._shape, self._resize, changed_ns, *picture)).encode()


class _Reader(ABC):
    """One open recording, scaled and cut to the clip's size."""

    held_bytes = 0

    @abstractmethod
    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        """(len(pictures), H, W, 3) of one recording, in ascending order.

        Args:
            pictures: Which ones.
            interval_s: `Window.interval_s` of the recording.

        Raises:
            DataError: They cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the file."""


class _VideoReader(_Reader):
    def __init__(self, window: Window, clip: ClipSpec) -> None:
        _unchanged(window)
        width, height = window.source_size
        self.held_bytes = _PICTURES_HELD * width * height * 3 // 2
        if window.reader == "decord":
            # after a seek it reads packets ahead without a bound, in the end all of them
            self.held_bytes += window.bytes
        self._reader = READERS[window.reader](window.path, window.source_size, clip)

    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        return self._reader.read([Place(picture.frame, picture.time_s) for picture in pictures], interval_s)

    def close(self) -> None:
        self._reader.close()


class _ImageReader(_Reader):
    def __init__(self, window: Window, clip: ClipSpec) -> None:
        self._path = window.path
        self._bits = window.bits
        self._clip = clip
        self._size = scaled_size(window.source_size, clip)

    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        import cv2

        shown = []
        for picture in pictures:
            image = read_image(Path(self._path) / picture.image, self._bits)
            scaled = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
            shown.append(centre_cut(scaled[..., ::-1], self._clip))
        return np.stack(shown)

    def close(self) -> None:
        """An image is open only while it is read."""


def _unchanged(window: Window) -> None:
    try:
        stat = os.stat(window.path)  # noqa: PTH116 (called for each file that is opened)
    except OSError as error:
        raise DataError(f"has vanished since it was ingested: {error.strerror}") from error
    if (stat.st_size, stat.st_mtime_ns) != (window.bytes, window.modified_ns):
        raise DataError("has changed since it was ingested")
