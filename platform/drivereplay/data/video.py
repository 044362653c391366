"""Reading and writing whole videos, for tools that do not go through an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.decode import scaled_size
from drivereplay.data.frames import shown_size
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

__all__ = ["read_video", "video_fps", "write_video"]

_GIVE = "Give a video file that FFmpeg reads."


def read_video(path: str | Path, clip: ClipSpec | None = None, *, most: int | None = None) -> NDArray[np.uint8]:
    """The frames of a video, as they are shown.

    Args:
        path: Any file PyAV reads.
        clip: With it, frames are scaled (and cut) to its size and taken at its rate; None gives every frame as it is.
        most: Largest number of frames to read.

    Returns:
        (T, H, W, 3) uint8 RGB.

    Raises:
        DataError: It cannot be read or has no frame.
    """
    import av

    pictures: list[NDArray[np.uint8]] = []
    first: float | None = None
    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DataError(f"{path} has no video stream.", "Give a video file.")
            interval = 1.0 / float(stream.average_rate or stream.guessed_rate or 25)
            for number, frame in enumerate(container.decode(stream)):
                time = number * interval if frame.time is None else float(frame.time)
                first = time if first is None else first
                picture = None
                while most is None or len(pictures) < most:
                    # with a rate: a frame fills every moment of the clip that is nearest to it
                    if clip is not None and len(pictures) / clip.fps > time - first + interval / 2 - 1e-6:
                        break
                    picture = _picture(frame, stream, clip) if picture is None else picture
                    pictures.append(picture)
                    if clip is None:
                        break
                if most is not None and len(pictures) >= most:
                    break
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a video: {error}.", _GIVE) from error
    if not pictures:
        raise DataError(f"{path} has no frame.", _GIVE)
    return np.stack(pictures)


def video_fps(path: str | Path) -> float:
    """Frames per second that a file states.

    Raises:
        DataError: It cannot be read or has no video.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DataError(f"{path} has no video stream.", "Give a video file.")
            return float(stream.average_rate or stream.guessed_rate or 25)
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{path} cannot be read as a video: {error}.", _GIVE) from error


def _picture(frame: Any, stream: Any, clip: ClipSpec | None) -> NDArray[np.uint8]:
    turns = int(frame.rotation) // 90 % 4
    shown = shown_size(frame, stream)
    width, height = shown if clip is None else scaled_size(shown, clip)
    stored = (height, width) if turns % 2 else (width, height)
    picture = frame.reformat(width=stored[0], height=stored[1], format="rgb24", interpolation="BILINEAR").to_ndarray()
    picture = np.rot90(picture, turns) if turns else picture
    if clip is not None:
        top, left = (height - clip.height) // 2, (width - clip.width) // 2
        picture = picture[top : top + clip.height, left : left + clip.width]
    return np.ascontiguousarray(picture)
