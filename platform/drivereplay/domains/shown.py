"""The size of a video file's pictures after turning, and its rate: what its labels refer to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drivereplay.errors import DataError


@dataclass(frozen=True)
class Shown:
    """A video as it is shown.

    Attributes:
        size: (width, height) in pixels of the file; the other way round where it is shown on its side.
        fps: Frames per second as the file says it, or None.
    """

    size: tuple[int, int]
    fps: float | None


def shown(video: Path) -> Shown:
    """Look at the first frame of a video.

    Raises:
        DataError: It cannot be decoded.
    """
    import av

    try:
        with av.open(str(video)) as container:
            stream = container.streams.best("video")
            rate = stream.average_rate or stream.guessed_rate
            frame = next(container.decode(stream))
    except (av.error.FFmpegError, OSError, StopIteration, AttributeError) as error:
        raise DataError(f"{video} cannot be read: {error!r}.", "Its annotations need its size.") from error
    turned = int(frame.rotation) % 180 != 0
    size = (frame.height, frame.width) if turned else (frame.width, frame.height)
    return Shown(size, float(rate) if rate else None)
