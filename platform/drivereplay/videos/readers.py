"""Readers of single frames of a file that stays open, brought to one size: by decord, by PyAV's seeks, by counting."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.videos.file import Frame
from drivereplay.videos.geometry import FrameShape, centre_cut, scaled_size
from drivereplay.videos.seeking import FramesByNumber, FramesByTime

_PADDED_WIDTHS = frozenset({8, 12, 16, 24, 48, 72})
"""Widths whose rows FFmpeg pads so that decord 0.6 takes the padding for further channels; `get_batch` then fails."""


class Place(NamedTuple):
    """Where a frame is in its file: its number, counted from 0, and its time in seconds."""

    number: int
    time_s: float


class Reader(ABC):
    """One open video whose frames are scaled and cut to a size.

    Args:
        path: The file.
        size: (width, height) as shown, in square pixels.
        shape: What frames are brought to.

    Raises:
        DataError: It cannot be opened; the message is the reason.
    """

    def __init__(self, path: str, size: tuple[int, int], shape: FrameShape) -> None:
        self._path = path
        self._shape = shape
        self._size = scaled_size(size, shape)

    @abstractmethod
    def read(self, places: Sequence[Place], interval_s: float) -> NDArray[np.uint8]:
        """(len(places), H, W, 3) uint8 RGB.

        Args:
            places: In ascending order.
            interval_s: Least time between the file's frames.

        Raises:
            DataError: They cannot be read; the message is the reason.
        """

    def close(self) -> None:  # noqa: B027 (decord has nothing that can be given back)
        """Release the file."""


class DecordReader(Reader):
    """Quick; wrong for many files. `drivereplay.videos.choice` finds out for which."""

    def __init__(self, path: str, size: tuple[int, int], shape: FrameShape) -> None:
        super().__init__(path, size, shape)
        import decord

        width, height = self._size
        try:
            self._video = decord.VideoReader(path, width=width, height=height, num_threads=1)
        except (decord.DECORDError, OSError, RuntimeError) as error:
            raise DataError(f"cannot be opened: {_last_line(error)}") from error

    @property
    def count(self) -> int:
        """Frames that decord counts."""
        return len(self._video)

    def read(self, places: Sequence[Place], interval_s: float) -> NDArray[np.uint8]:
        import decord

        numbers = [place.number for place in places]
        if numbers[-1] >= len(self._video):
            raise DataError(f"has {len(self._video)} frames, but frame {numbers[-1]} was indexed")
        try:
            if self._size[0] in _PADDED_WIDTHS:
                frames = np.stack([self._unpadded(self._video[n].asnumpy()) for n in numbers])
            else:
                frames = self._video.get_batch(numbers).asnumpy()
        except (decord.DECORDError, OSError, RuntimeError) as error:
            raise DataError(f"{_span(places)} cannot be decoded: {_last_line(error)}") from error
        return centre_cut(frames, self._shape)

    def _unpadded(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        width, height = self._size
        return frame.reshape(height, -1)[:, : 3 * width].reshape(height, width, 3)


class _AvReader(Reader):
    """Frames by PyAV."""

    def read(self, places: Sequence[Place], interval_s: float) -> NDArray[np.uint8]:
        frames = []
        for place in places:
            try:
                frames.append(centre_cut(self._frame(place, interval_s).rgb(self._size), self._shape))
            except DataError as error:
                raise DataError(f"{_span(places)} cannot be decoded: {error.what}") from error
        return np.stack(frames)

    @abstractmethod
    def _frame(self, place: Place, interval_s: float) -> Frame: ...


class TimedReader(_AvReader):
    """Finds frames by their times."""

    def __init__(self, path: str, size: tuple[int, int], shape: FrameShape) -> None:
        super().__init__(path, size, shape)
        self._file = FramesByTime(path)

    def close(self) -> None:
        self._file.close()

    def _frame(self, place: Place, interval_s: float) -> Frame:
        return self._file.at(place.time_s, interval_s / 2)


class CountingReader(_AvReader):
    """Finds frames by counting from the start: slow, and right where times cannot be trusted."""

    def __init__(self, path: str, size: tuple[int, int], shape: FrameShape) -> None:
        super().__init__(path, size, shape)
        self._file = FramesByNumber(path)

    def close(self) -> None:
        self._file.close()

    def _frame(self, place: Place, interval_s: float) -> Frame:
        return self._file.at(place.number)


READERS: dict[str, type[Reader]] = {"decord": DecordReader, "av": TimedReader, "count": CountingReader}
"""By the name that an index gives them."""


def _span(places: Sequence[Place]) -> str:
    return f"frames {places[0].number} to {places[-1].number}"


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    # decord's own begin with the time, a line of its source, and the path in brackets
    return (re.sub(r"^\[[\d:]+\] \S+ (\[.*?\] )?", "", lines[-1]) if lines else type(error).__name__)[:160]
