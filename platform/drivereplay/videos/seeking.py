"""Frames of one open video file, found by their times or by counting."""

from __future__ import annotations

from collections.abc import Iterator

from drivereplay.errors import DataError
from drivereplay.videos.file import Frame, SeekError, open_video

_AHEAD_S = 2.0
"""A frame that lies ahead no further than this is decoded up to; for others a seek is quicker."""
_EARLIER_S = (0.0, 2.0, 8.0, 32.0)
"""How much earlier than wanted to seek, one after the other: without a proper index, as in MPEG-TS, a seek comes down
anywhere in a group of pictures, and the first frame that can be decoded is then the next key frame."""


class FramesByTime:
    """Goes on decoding where a frame lies ahead, seeks where it does not.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._video = open_video(path)
        self._frames: Iterator[tuple[float, Frame, bool]] = iter(())
        self._next: tuple[float, Frame, bool] | None = None

    def close(self) -> None:
        """Release the file."""
        self._video.close()

    def at(self, time_s: float, tolerance_s: float) -> Frame:
        """The first frame that is shown `tolerance_s` before a time or later, and not later than as much after it.

        Raises:
            DataError: There is none, it cannot be decoded, or damage may show in it.
        """
        ahead_s = None if self._next is None else time_s - self._next[0]
        if ahead_s is None or not -tolerance_s < ahead_s <= max(_AHEAD_S, tolerance_s):
            self._reach(time_s, tolerance_s)
        while self._next is not None and self._next[0] < time_s - tolerance_s:
            self._next = next(self._frames, None)
        if self._next is None or self._next[0] > time_s + tolerance_s:
            raise DataError(f"there is no frame at {time_s:.3f} s")
        _, frame, damaged = self._next
        if damaged:
            raise DataError(f"the frame at {time_s:.3f} s is damaged")
        return frame

    def _reach(self, time_s: float, tolerance_s: float) -> None:
        """Stand at the wanted frame or before it."""
        start_s = self._video.start_s
        for earlier in _EARLIER_S:
            target = max(start_s, time_s - tolerance_s - earlier)
            try:
                self._begin(target)
            except SeekError:
                break
            if self._next is not None and self._next[0] <= time_s + tolerance_s:
                return
            if target == start_s:
                break
        self._begin(None)

    def _begin(self, time_s: float | None) -> None:
        self._frames = self._video.decoded(time_s)
        self._next = next(self._frames, None)


class FramesByNumber:
    """For files whose times cannot be trusted: decodes from the start and counts, as the index counted.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._video = open_video(path)
        self._frames = self._video.frames()
        self._frame: Frame | None = None
        self._number = -1

    def close(self) -> None:
        """Release the file."""
        self._video.close()

    def at(self, number: int) -> Frame:
        """Frame `number`, counted from 0.

        Raises:
            DataError: There are fewer, or it cannot be decoded.
        """
        if number < self._number:
            self._frames = self._video.frames()
            self._frame, self._number = None, -1
        while self._frame is None or self._number < number:
            self._frame = next(self._frames, None)
            if self._frame is None:
                raise DataError(f"there is no frame {number}")
            self._number += 1
        return self._frame
