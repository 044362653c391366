"""From windows to frames: readers that stay open, and decoding in the order of files and time."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.damage import SoundFrames
from drivereplay.data.index import Window
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

_OPEN_FILES = 16
_OPEN_BYTES = 256 << 20
_PICTURES_HELD = 8
"""Pictures of the source's size that an open file is thought to hold."""
_CHUNK_BYTES = 64 << 20
_REMEMBERED_BYTES = 256 << 20
"""Decoded frames that a decoder remembers, for windows that share them but come in another call."""


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
    """

    def __init__(self, clip: ClipSpec, open_files: int = _OPEN_FILES, open_bytes: int = _OPEN_BYTES) -> None:
        self._clip = clip
        self._limit = open_files
        self._limit_bytes = open_bytes
        self._readers: OrderedDict[str, _Reader] = OrderedDict()
        self._remembered = _Remembered(_REMEMBERED_BYTES)

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
        order = sorted(range(len(windows)), key=lambda n: (windows[n].path, windows[n].frames))
        for chunk in self._chunks(windows, order):
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
        self._remembered = _Remembered(_REMEMBERED_BYTES)
        while self._readers:
            self._readers.popitem()[1].close()

    def _chunks(self, windows: Sequence[Window], order: list[int]) -> list[list[int]]:
        """Neighbouring windows of one file, as many as share a piece of memory of bounded size."""
        clip = self._clip
        most = max(1, _CHUNK_BYTES // (clip.frames * clip.height * clip.width * 3))
        chunks: list[list[int]] = []
        for n in order:
            last = chunks[-1] if chunks else None
            if last and len(last) < most and windows[last[0]].path == windows[n].path:
                last.append(n)
            else:
                chunks.append([n])
        return chunks

    def _fill(self, windows: Sequence[Window], chunk: list[int], out: NDArray[np.uint8]) -> None:
        times: dict[int, float] = {}
        images: dict[int, str] = {}
        for n in chunk:
            window = windows[n]
            times.update(zip(window.frames, window.times_s, strict=True))
            images.update(zip(window.frames, window.images, strict=False))
        path = windows[chunk[0]].path
        found = self._remembered.get(path, times)
        wanted = sorted(times.keys() - found.keys())
        if wanted:
            reader = self._reader(windows[chunk[0]])
            try:
                got = reader.read(wanted, [times[n] for n in wanted], [images.get(n, "") for n in wanted])
            except DataError:
                # its state is unknown now
                self._readers.pop(path).close()
                raise
            read = dict(zip(wanted, got, strict=True))
            self._remembered.put(path, read)
            found |= read
        for n in chunk:
            for place, number in enumerate(windows[n].frames):
                out[n, place] = found[number]

    def _reader(self, window: Window) -> _Reader:
        reader = self._readers.get(window.path)
        if reader is None:
            reader = _READERS[window.reader](window, self._clip)
            self._readers[window.path] = reader
            while len(self._readers) > 1 and self._too_many():
                self._readers.popitem(last=False)[1].close()
        else:
            self._readers.move_to_end(window.path)
        return reader

    def _too_many(self) -> bool:
        held = sum(reader.held_bytes for reader in self._readers.values())
        return len(self._readers) > self._limit or held > self._limit_bytes


class _Remembered:
    """Frames by file and number, as many as a budget holds; those used longest ago are forgotten first."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._bytes = 0
        self._frames: OrderedDict[tuple[str, int], NDArray[np.uint8]] = OrderedDict()

    def get(self, path: str, numbers: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
        """Those of a file's frames that are there."""
        found = {}
        for number in numbers:
            frame = self._frames.get((path, number))
            if frame is not None:
                self._frames.move_to_end((path, number))
                found[number] = frame
        return found

    def put(self, path: str, frames: Mapping[int, NDArray[np.uint8]]) -> None:
        """Remember frames of a file."""
        for number, frame in frames.items():
            # a copy: a view would keep alive all that was decoded with it
            self._frames[path, number] = frame.copy()
            self._bytes += frame.nbytes
        while self._bytes > self._budget:
            self._bytes -= self._frames.popitem(last=False)[1].nbytes


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
    def read(self, frames: list[int], times_s: list[float], images: list[str]) -> NDArray[np.uint8]:
        """(len(frames), H, W, 3) for ascending frame numbers.

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

    def read(self, frames: list[int], times_s: list[float], images: list[str]) -> NDArray[np.uint8]:
        import decord

        if frames[-1] >= len(self._video):
            raise DataError(f"has {len(self._video)} frames, but frame {frames[-1]} was indexed")
        try:
            if self._size[0] in _PADDED_WIDTHS:
                return self._cut(np.stack([self._unpadded(self._video[n].asnumpy()) for n in frames]))
            return self._cut(self._video.get_batch(frames).asnumpy())
        except (decord.DECORDError, OSError, RuntimeError) as error:
            raise DataError(f"frames {frames[0]} to {frames[-1]} cannot be decoded: {_last_line(error)}") from error

    def _unpadded(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        width, height = self._size
        return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


class _AvReader(_Reader):
    """Finds frames by their times: goes on decoding where they lie ahead, seeks where they do not."""

    def __init__(self, window: Window, clip: ClipSpec) -> None:
        super().__init__(window, clip)
        from av.video.reformatter import VideoReformatter

        self._interval = window.interval_s or 0.04
        # kept from frame to frame: to set it up takes longer than to scale a frame
        self._scaler: Any = VideoReformatter()
        self._container: Any = None
        self._frames: Any = None
        self._next: Any = None
        self._open()

    def read(self, frames: list[int], times_s: list[float], images: list[str]) -> NDArray[np.uint8]:
        import av

        try:
            pictures = [self._picture(time) for time in times_s]
        except (av.error.FFmpegError, OSError, EOFError, StopIteration, ValueError) as error:
            raise DataError(f"frames {frames[0]} to {frames[-1]} cannot be decoded: {_last_line(error)}") from error
        return np.stack(pictures)

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _open(self) -> None:
        import av

        try:
            self.close()
            self._container = av.open(self._path)
            self._stream = self._container.streams.best("video")
            self._stream.codec_context.thread_count = 1
            self._rewound()
        except (av.error.FFmpegError, OSError, AttributeError) as error:
            raise DataError(f"cannot be opened: {_last_line(error)}") from error

    def _rewound(self) -> None:
        self._frames = self._sound(self._container.decode(self._stream))
        self._next = None

    def _sound(self, frames: Any) -> Iterator[Any]:
        """The frames, with a note of whether damage may show in them: it does up to the next key frame."""
        self._damaged = False
        for frame in frames:
            self._damaged = frame.is_corrupt or (self._damaged and not frame.key_frame)
            yield frame

    def _picture(self, time_s: float) -> NDArray[np.uint8]:
        half = self._interval / 2
        here = self._time(self._next) if self._next is not None else None
        ahead = here is not None and 0 <= time_s - here <= 2.0
        if here is None or not (ahead or abs(time_s - here) < half):
            self._seek(time_s)
        if self._next is None:
            self._next = next(self._frames)
        if self._time(self._next) > time_s + half:
            # the seek came down too late, as it does without a proper index: read from the start
            self._open()
            self._next = next(self._frames)
        while self._time(self._next) < time_s - half:
            self._next = next(self._frames)
        if self._time(self._next) > time_s + half:
            raise ValueError(f"there is no frame at {time_s:.3f} s")
        if self._damaged:
            raise ValueError(f"the frame at {time_s:.3f} s is damaged")
        return self._image(self._next)

    def _seek(self, time_s: float) -> None:
        margin = 0.5 * self._interval
        self._container.seek(int(max(0.0, time_s - margin) / self._stream.time_base), stream=self._stream)
        self._rewound()

    def _time(self, frame: Any) -> float:
        return float(frame.time)

    def _image(self, frame: Any) -> NDArray[np.uint8]:
        width, height = self._size
        turns = int(frame.rotation) // 90 % 4
        if turns % 2:
            width, height = height, width
        scaled = self._scaler.reformat(frame, width=width, height=height, format="rgb24", interpolation="BILINEAR")
        small = scaled.to_ndarray()
        return np.ascontiguousarray(self._cut(np.rot90(small, turns) if turns else small))


class _CountingReader(_AvReader):
    """For files whose times cannot be trusted: decodes from the start and counts."""

    def read(self, frames: list[int], times_s: list[float], images: list[str]) -> NDArray[np.uint8]:
        return super().read(frames, [float(n) for n in frames], images)

    def _rewound(self) -> None:
        self._interval = 1.0
        self._number = -1
        # counted as the index counted them
        self._frames = iter(SoundFrames(self._container, self._stream))
        self._next = None

    def _picture(self, time_s: float) -> NDArray[np.uint8]:
        if time_s < self._number:
            self._open()
        while self._number < time_s:
            self._next = next(self._frames)
            self._number += 1
        return self._image(self._next)


class _ImageReader(_Reader):
    def read(self, frames: list[int], times_s: list[float], images: list[str]) -> NDArray[np.uint8]:
        import cv2

        pictures = []
        for name in images:
            picture = cv2.imread(str(Path(self._path) / name), cv2.IMREAD_COLOR)
            if picture is None:
                raise DataError(f"image {name} cannot be read")
            scaled = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
            pictures.append(self._cut(scaled[..., ::-1]))
        return np.stack(pictures)


_READERS: dict[str, type[_Reader]] = {
    "decord": _DecordReader,
    "av": _AvReader,
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


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:160]
