"""Frames of one open video file, found by their times or by counting, and the size at which they are shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from drivereplay.data.damage import SoundFrames

_AHEAD_S = 2.0
"""A frame that lies ahead no further than this is decoded up to; for others a seek is quicker."""
_EARLIER_S = (0.0, 2.0, 8.0, 32.0)
"""How much earlier than wanted to seek, one after the other: without a proper index, as in MPEG-TS, a seek comes down
anywhere in a group of pictures, and the first frame that can be decoded is then the next key frame."""
_ASPECTS = (0.1, 10.0)
"""A pixel of another shape is a damaged header's."""


def shown_size(frame: Any, stream: Any) -> tuple[int, int]:
    """(width, height) in square pixels at which players show a decoded frame of a PyAV stream, turned upright."""
    aspect = float(stream.sample_aspect_ratio or 1)
    width = round(frame.width * aspect) if _ASPECTS[0] <= aspect <= _ASPECTS[1] else frame.width
    return (frame.height, width) if int(frame.rotation) // 90 % 2 else (width, frame.height)


class _Frames(ABC):
    """One open file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._container: Any = None
        self._open()

    def close(self) -> None:
        """Release the file."""
        if self._container is not None:
            self._container.close()
            self._container = None

    @abstractmethod
    def _open(self) -> None: ...


class FramesByTime(_Frames):
    """Goes on decoding where a frame lies ahead, seeks where it does not.

    Args:
        path: The file.

    Raises:
        av.error.FFmpegError: It cannot be opened.
        AttributeError: It has no video that can be decoded.
    """

    _next: Any = None

    def at(self, time_s: float, tolerance_s: float) -> Any:
        """The first frame that is shown `tolerance_s` before a time or later, and not later than as much after it.

        Raises:
            ValueError: There is none, or damage may show in it.
            av.error.FFmpegError: It cannot be decoded.
        """
        here = None if self._next is None else time_s - self._next.time
        if here is None or not -tolerance_s < here <= max(_AHEAD_S, tolerance_s):
            self._reach(time_s, tolerance_s)
        while self._next is not None and self._next.time < time_s - tolerance_s:
            self._next = next(self._frames, None)
        if self._next is None or self._next.time > time_s + tolerance_s:
            raise ValueError(f"there is no frame at {time_s:.3f} s")
        if self._damaged:
            raise ValueError(f"the frame at {time_s:.3f} s is damaged")
        return self._next

    def _reach(self, time_s: float, tolerance_s: float) -> None:
        """Stand at the wanted frame or before it."""
        import av

        for earlier in _EARLIER_S:
            target = max(self._start_s, time_s - tolerance_s - earlier)
            try:
                self._container.seek(int(target / self._stream.time_base), stream=self._stream)
            except av.error.FFmpegError:
                break
            self._rewound()
            if self._next is not None and self._next.time <= time_s + tolerance_s:
                return
            if target == self._start_s:
                break
        self._open()

    def _open(self) -> None:
        self.close()
        self._container, self._stream = _opened(self._path)
        # times may be negative
        self._start_s = min(0.0, float((self._stream.start_time or 0) * self._stream.time_base))
        self._rewound()

    def _rewound(self) -> None:
        self._frames = self._timed()
        self._next = next(self._frames, None)

    def _timed(self) -> Iterator[Any]:
        """The frames, with a note of whether damage may show in them: it does up to the next key frame."""
        self._damaged = False
        for frame in self._container.decode(self._stream):
            self._damaged = frame.is_corrupt or (self._damaged and not frame.key_frame)
            if frame.time is not None:
                yield frame


class FramesByNumber(_Frames):
    """For files whose times cannot be trusted: decodes from the start and counts, as the index counted.

    Args:
        path: The file.

    Raises:
        av.error.FFmpegError: It cannot be opened.
        AttributeError: It has no video that can be decoded.
    """

    _frame: Any = None

    def at(self, number: int) -> Any:
        """Frame `number`, counted from 0.

        Raises:
            ValueError: There are fewer.
            av.error.FFmpegError: It cannot be decoded.
        """
        if number < self._number:
            self._open()
        while self._number < number:
            self._frame = next(self._frames, None)
            if self._frame is None:
                raise ValueError(f"there is no frame {number}")
            self._number += 1
        return self._frame

    def _open(self) -> None:
        self.close()
        self._container, stream = _opened(self._path)
        self._frames = iter(SoundFrames(self._container, stream))
        self._number = -1


def _opened(path: str) -> tuple[Any, Any]:
    import av

    container = av.open(path)
    stream = container.streams.best("video")
    stream.codec_context.thread_count = 1
    return container, stream
