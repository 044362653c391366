"""From windows to frames: readers that stay open, and decoding in the order of files and time."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.frames import FramesByNumber, FramesByTime
from drivereplay.data.index import Window
from drivereplay.data.rendered import rendered
from drivereplay.data.shared import SharedPictures
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

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


def scaled_size(source: tuple[int, int], clip: ClipSpec) -> tuple[int, int]:
    """(width, height) to which a picture is scaled before its centre is cut out (`crop`) or as it is (`stretch`)."""
    if clip.resize == "stretch":
        return clip.width, clip.height
    scale = max(clip.width / source[0], clip.height / source[1])
    return max(clip.width, round(source[0] * scale)), max(clip.height, round(source[1] * scale))


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
            reader = _READERS[window.reader](window, self._clip)
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


def _pictures(window: Window) -> list[_Picture]:
    images = window.images or ("",) * len(window.frames)
    return [
        _Picture(frame, time_s, image, window.path, window.modified_ns)
        for frame, time_s, image in zip(window.frames, window.times_s, images, strict=True)
    ]


def _recording(window: Window) -> tuple[str, str, str]:
    return window.path, window.domain, window.key


_File = tuple[str, int, tuple[int, int]]


def _file(window: Window) -> _File:
    """What an open reader is for: recordings may share it."""
    return window.path, window.modified_ns, window.source_size


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
    """One open video, scaled and cut to the clip's size."""

    def __init__(self, window: Window, clip: ClipSpec) -> None:
        self._path = window.path
        self._clip = clip
        self._size = scaled_size(window.source_size, clip)
        width, height = window.source_size
        self.held_bytes = 0 if window.images else _PICTURES_HELD * width * height * 3 // 2
        if not window.images:
            _unchanged(window)

    @abstractmethod
    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        """(len(pictures), H, W, 3) of one recording, in ascending order.

        Args:
            pictures: Which ones.
            interval_s: `Window.interval_s` of the recording.

        Raises:
            DataError: They cannot be read.
        """

    def close(self) -> None:  # noqa: B027 (most readers hold nothing that has to be given back)
        """Release the file."""

    def _cut(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The centre (…, H, W, 3) of scaled pictures."""
        left = (self._size[0] - self._clip.width) // 2
        top = (self._size[1] - self._clip.height) // 2
        return frames[..., top : top + self._clip.height, left : left + self._clip.width, :]


_F = TypeVar("_F", FramesByTime, FramesByNumber)

_PADDED_WIDTHS = frozenset({8, 12, 16, 24, 48, 72})
"""Widths whose rows FFmpeg pads so that decord 0.6 takes the padding for further channels; `get_batch` then fails."""


class _DecordReader(_Reader):
    def __init__(self, window: Window, clip: ClipSpec) -> None:
        super().__init__(window, clip)
        # after a seek it reads packets ahead without a bound, in the end all of them
        self.held_bytes += window.bytes
        import decord

        width, height = self._size
        try:
            self._video = decord.VideoReader(self._path, width=width, height=height, num_threads=1)
        except (decord.DECORDError, OSError, RuntimeError) as error:
            raise DataError(f"cannot be opened: {_last_line(error)}") from error

    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        import decord

        frames = [picture.frame for picture in pictures]
        if frames[-1] >= len(self._video):
            raise DataError(f"has {len(self._video)} frames, but frame {frames[-1]} was indexed")
        try:
            if self._size[0] in _PADDED_WIDTHS:
                return self._cut(np.stack([self._unpadded(self._video[n].asnumpy()) for n in frames]))
            return self._cut(self._video.get_batch(frames).asnumpy())
        except (decord.DECORDError, OSError, RuntimeError) as error:
            raise DataError(f"{_span(pictures)} cannot be decoded: {_last_line(error)}") from error

    def _unpadded(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        width, height = self._size
        return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


class _AvReader(_Reader, Generic[_F]):
    """Frames by PyAV; says in `_frame` how it finds them."""

    def __init__(self, window: Window, clip: ClipSpec) -> None:
        super().__init__(window, clip)
        import av
        from av.video.reformatter import VideoReformatter

        # kept from frame to frame: to set it up takes longer than to scale a frame
        self._scaler: Any = VideoReformatter()
        try:
            self._file: _F = self._opened()
        except (av.error.FFmpegError, OSError, AttributeError) as error:
            raise DataError(f"cannot be opened: {_last_line(error)}") from error

    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        import av

        try:
            return np.stack([self._image(self._frame(picture, interval_s)) for picture in pictures])
        except (av.error.FFmpegError, OSError, EOFError, AttributeError, ValueError) as error:
            raise DataError(f"{_span(pictures)} cannot be decoded: {_last_line(error)}") from error

    def close(self) -> None:
        self._file.close()

    @abstractmethod
    def _opened(self) -> _F: ...

    @abstractmethod
    def _frame(self, picture: _Picture, interval_s: float) -> Any: ...

    def _image(self, frame: Any) -> NDArray[np.uint8]:
        width, height = self._size
        turns = int(frame.rotation) // 90 % 4
        if turns % 2:
            width, height = height, width
        scaled = self._scaler.reformat(frame, width=width, height=height, format="rgb24", interpolation="BILINEAR")
        small = scaled.to_ndarray()
        return np.ascontiguousarray(self._cut(np.rot90(small, turns) if turns else small))


class _TimedReader(_AvReader[FramesByTime]):
    def _opened(self) -> FramesByTime:
        return FramesByTime(self._path)

    def _frame(self, picture: _Picture, interval_s: float) -> Any:
        return self._file.at(picture.time_s, interval_s / 2)


class _CountingReader(_AvReader[FramesByNumber]):
    def _opened(self) -> FramesByNumber:
        return FramesByNumber(self._path)

    def _frame(self, picture: _Picture, interval_s: float) -> Any:
        return self._file.at(picture.frame)


class _ImageReader(_Reader):
    def read(self, pictures: Sequence[_Picture], interval_s: float) -> NDArray[np.uint8]:
        import cv2

        shown = []
        for picture in pictures:
            image = cv2.imread(str(Path(self._path) / picture.image), cv2.IMREAD_COLOR)
            if image is None:
                raise DataError(f"image {picture.image} cannot be read")
            scaled = cv2.resize(image, self._size, interpolation=cv2.INTER_AREA)
            shown.append(self._cut(scaled[..., ::-1]))
        return np.stack(shown)


_READERS: dict[str, type[_Reader]] = {
    "decord": _DecordReader,
    "av": _TimedReader,
    "count": _CountingReader,
    "images": _ImageReader,
}


def _unchanged(window: Window) -> None:
    try:
        stat = os.stat(window.path)  # noqa: PTH116 (called for each file that is opened)
    except OSError as error:
        raise DataError(f"has vanished since it was ingested: {error.strerror}") from error
    if (stat.st_size, stat.st_mtime_ns) != (window.bytes, window.modified_ns):
        raise DataError("has changed since it was ingested")


def _span(pictures: Sequence[_Picture]) -> str:
    return f"frames {pictures[0].frame} to {pictures[-1].frame}"


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:160]
