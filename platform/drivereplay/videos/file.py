"""An open video file: its best stream, upright, in square pixels, with times in seconds and without damaged frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.videos.damage import SoundFrames
from drivereplay.videos.geometry import Orientation, square_width

_USUAL_FPS = 25.0
"""What FFmpeg takes where a file says nothing."""
_SLACK_S = 1e-3
"""Times of a part's ends are rounded."""
_NO_TIMESTAMPS = 128
"""AVFMT_NOTIMESTAMPS: a raw stream."""


def open_video(path: str | Path) -> Video:
    """Open a video file for reading.

    Raises:
        DataError: It is no video that can be decoded; the message is the reason, without the file's name.
    """
    return Video(path)


class SeekError(DataError):
    """A file cannot be read but from its start."""


class Frame:
    """One decoded frame.

    Attributes:
        time_s: When it is shown, in the file's own time; None where the file does not say.
        after_damage: Whether frames right before it were left out.
    """

    __slots__ = ("_stored", "_video", "after_damage", "time_s")

    def __init__(self, video: Video, stored: Any, *, after_damage: bool = False) -> None:
        self._video = video
        self._stored = stored
        self.time_s: float | None = stored.time
        self.after_damage = after_damage

    @property
    def key_frame(self) -> bool:
        """Whether decoding can begin here."""
        return bool(self._stored.key_frame)

    @property
    def interlaced(self) -> bool:
        """Whether it holds two fields of different moments."""
        return bool(self._stored.interlaced_frame)

    def rgb(self, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB as it is shown, scaled to `size` (width, height) or in square pixels."""
        return self._video.scaled(self._stored, size)


class Video:
    """An open file; see `open_video`. A context manager.

    Attributes:
        path: The file.
        container: Name of its format, as FFmpeg has it.
        codec: Name of the stream's codec.
        fps: Frames per second that the file states. A raw stream states it in its own headers.
        damaged, gop, leading: What `SoundFrames` counted in the last pass of `frames`, once that has ended.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.damaged = self.gop = self.leading = 0
        self._header: _Header | None = None
        self._scalers: dict[tuple[int, int], Any] = {}
        self._container, self._stream = _opened(self.path)
        self._begun = False
        self.container = str(self._container.format.name)
        self.codec = str(self._stream.codec_context.name)
        raw = int(self._container.format.flags) & _NO_TIMESTAMPS
        average, guessed = self._stream.average_rate, self._stream.guessed_rate
        self.fps = float((guessed or average if raw else average or guessed) or _USUAL_FPS)

    def _reopen(self) -> None:
        self.close()
        self._container, self._stream = _opened(self.path)
        self._begun = False

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._container.close()

    @property
    def orientation(self) -> Orientation:
        """How stored frames are shown."""
        return self._looked_at().orientation

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in square pixels, as shown."""
        header = self._looked_at()
        aspect = float(self._stream.sample_aspect_ratio or 1)
        return header.orientation.shown_size(square_width(header.width, aspect), header.height)

    @property
    def pixel_size(self) -> tuple[int, int]:
        """(width, height) in the file's own pixels, turned as shown: what labels count in."""
        header = self._looked_at()
        return header.orientation.shown_size(header.width, header.height)

    @property
    def pixel_format(self) -> str:
        """Name of the stored format, as FFmpeg has it."""
        return self._looked_at().pixel_format

    @property
    def transfer(self) -> int:
        """Transfer characteristics of ITU-T H.273."""
        return self._looked_at().transfer

    @property
    def start_s(self) -> float:
        """Where the file begins, in its own time; not after 0."""
        return min(0.0, float((self._stream.start_time or 0) * self._stream.time_base))

    def frames(self, part_s: tuple[float, float] | None = None) -> Iterator[Frame]:
        """All frames in the order in which they are shown, or those from and to a second; damaged ones are left out.

        Raises:
            DataError: No frame can be decoded, or they change their size. A file that breaks off just ends.
        """
        import av

        if self._begun:
            self._reopen()
        self._begun = True
        given = broken = 0
        sound = SoundFrames(self._container, self._stream)
        try:
            if part_s is not None:
                with contextlib.suppress(av.error.FFmpegError, OSError, EOFError):
                    next(self._container.decode(self._stream), None)  # see `_begin`
                self._container.seek(int(part_s[0] / self._stream.time_base), stream=self._stream)
            for stored in sound:
                self._check_size(stored)
                frame = Frame(self, stored, after_damage=sound.after_damage)
                if part_s is not None and frame.time_s is not None:
                    if frame.time_s < part_s[0] - _SLACK_S:
                        continue
                    if frame.time_s >= part_s[1] - _SLACK_S:
                        break
                given += 1
                yield frame
        except (av.error.FFmpegError, OSError, EOFError) as error:
            if not given:
                raise DataError(f"cannot be decoded: {_said(error)}") from error
            broken = 1
        finally:
            self.damaged, self.gop, self.leading = sound.damaged + broken, sound.gop, sound.leading

    def frame_times(self) -> NDArray[np.float64]:
        """(F,) seconds at which frames are shown, in order, from the packets alone; damage is not noticed.

        Raises:
            DataError: A packet cannot be read, or has no time.
        """
        import av

        self._reopen()
        self._begun = True
        try:
            packets = [p for p in self._container.demux(self._stream) if p.size and not p.is_discard]
        except (av.error.FFmpegError, OSError, EOFError) as error:
            raise DataError(f"cannot be read: {_said(error)}") from error
        if any(packet.pts is None for packet in packets):
            raise DataError("has frames without a time")
        return np.sort(np.asarray([packet.pts for packet in packets], np.float64)) * float(self._stream.time_base)

    def decoded(self, time_s: float | None) -> Iterator[tuple[float, Frame, bool]]:
        """Frames from a seek on, or from the start: time, frame, and whether damage may show in it.

        A seek may come down before or behind the time. Frames without a time are passed over.

        Raises:
            SeekError: The file cannot be sought in; at once.
            DataError: A frame cannot be decoded.
        """
        import av

        if time_s is None:
            self._reopen()
        else:
            self._begin()
            try:
                self._container.seek(int(time_s / self._stream.time_base), stream=self._stream)
            except av.error.FFmpegError as error:
                raise SeekError(f"cannot be sought in: {_said(error)}") from error
        self._begun = True
        return self._as_decoded()

    def _begin(self) -> None:
        """Decode the first frame after opening, before anything is sought.

        It may hold what the decoder needs for all others and no other frame holds: in MS-MPEG4 how to round, without
        which frames drift by some levels.
        """
        import av

        if not self._begun:
            with contextlib.suppress(av.error.FFmpegError, OSError, EOFError):
                next(self._container.decode(self._stream), None)
        self._begun = True

    def _as_decoded(self) -> Iterator[tuple[float, Frame, bool]]:
        import av

        damaged = False
        try:
            for stored in self._container.decode(self._stream):
                if self._header is None:
                    self._header = _Header.of(stored)
                # damage spoils the frames that are predicted from it, up to the next key frame
                damaged = stored.is_corrupt or (damaged and not stored.key_frame)
                frame = Frame(self, stored)
                if frame.time_s is not None:
                    yield frame.time_s, frame, damaged
        except (av.error.FFmpegError, OSError, EOFError) as error:
            raise DataError(f"cannot be decoded: {_said(error)}") from error

    def _looked_at(self) -> _Header:
        if self._header is None and next(self.frames(), None) is None:
            raise DataError("has no frame")
        assert self._header is not None
        return self._header

    def _check_size(self, stored: Any) -> None:
        if self._header is None:
            self._header = _Header.of(stored)
        width, height = self._header.width, self._header.height
        if (stored.width, stored.height) != (width, height):
            when = "" if stored.time is None else f" at {float(stored.time):.2f} s"
            raise DataError(
                f"changes the size of its frames{when} from {width}x{height} to {stored.width}x{stored.height}"
            )

    def scaled(self, stored: Any, size: tuple[int, int] | None) -> NDArray[np.uint8]:
        """See `Frame.rgb`."""
        from av.video.reformatter import VideoReformatter

        orientation = self._looked_at().orientation
        # turning back swaps the sides as turning does
        width, height = orientation.shown_size(*(size or self.size))
        # kept from frame to frame: to set it up takes longer than to scale a frame
        scaler = self._scalers.get((width, height))
        if scaler is None:
            scaler = self._scalers.setdefault((width, height), VideoReformatter())
        # decord scales bilinearly; a frame at its own size is only enlarged, if at all, as by the command line
        method = "BICUBIC" if size is None else "BILINEAR"
        small = scaler.reformat(stored, width=width, height=height, format="rgb24", interpolation=method)
        return orientation.upright(small.to_ndarray())


@dataclass(frozen=True)
class _Header:
    """What the first frame says about all of them."""

    width: int
    height: int
    orientation: Orientation
    pixel_format: str
    transfer: int

    @classmethod
    def of(cls, stored: Any) -> _Header:
        matrix = next((data for data in stored.side_data if data.type.name == "DISPLAYMATRIX"), None)
        orientation = Orientation()
        if matrix is not None:
            orientation = Orientation.of_matrix(np.frombuffer(bytes(matrix), np.int32).tolist())
        return cls(stored.width, stored.height, orientation, stored.format.name, int(stored.color_trc))


def _opened(path: str) -> tuple[Any, Any]:
    """A PyAV container and its best video stream."""
    import av
    from av.stream import Disposition

    try:
        container: Any = av.open(path)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"cannot be decoded: {_said(error)}") from error
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    stream: Any = max(streams, key=_rank, default=None)
    reason = ""
    if stream is None:
        reason = "has no video stream" + (" (audio only)" if container.streams.audio else "")
    elif stream.codec_context is None:
        reason = "its video stream has a codec that is not known here"
    if reason:
        container.close()
        raise DataError(reason)
    # with several threads a decoder runs ahead, and so does more than is wanted after a seek
    stream.codec_context.thread_count = 1
    return container, stream


_DEFAULT_PIXELS = 5_000_000
"""What a stream gains by being its file's default one, in ffmpeg's command line, which this follows."""


def _rank(stream: Any) -> tuple[bool, int]:
    """Streams that can be decoded first; of those the largest, the file's default ones as if they were larger.

    `av_find_best_stream`, which PyAV and decord ask, goes by the bit rate, which many files do not state.
    """
    from av.stream import Disposition

    context = stream.codec_context
    pixels = 0 if context is None else context.width * context.height
    return context is not None, pixels + _DEFAULT_PIXELS * bool(stream.disposition & Disposition.default)


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
