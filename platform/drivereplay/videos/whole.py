"""A video's frames in memory, for tools that do not go through an index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.videos.file import Video, open_video
from drivereplay.videos.geometry import FrameShape, centre_cut, scaled_size
from drivereplay.videos.timeline import Timeline, increasing

_FIX = "Replace or remove the file, or turn it into a plain mp4: ffmpeg -i IN -c:v libx264 OUT.mp4."
_BEYOND_S = 1.0
"""How far beyond the last wanted moment a file is decoded, so that the frame after it is known."""
_SAME_RATE = 1e-3
"""Up to this share, the mean rate of the frames is the one that the file states: times in a file are rounded."""


@dataclass(frozen=True)
class VideoFrames:
    """Frames of a video.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB, as shown.
        numbers: (T,) int64 numbers of these frames among all that the file shows.
        times_s: (T,) float64 times at which the file shows them, from its first frame.
        fps: Frames per second of the file.
        constant: Whether the file's frame rate is constant.
        size: (width, height) of the file in square pixels.
        damaged: Frames that were left out because damage may show in them.
    """

    frames: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    times_s: NDArray[np.float64]
    fps: float
    constant: bool
    size: tuple[int, int]
    damaged: int


def read_frames(
    path: str | Path, shape: FrameShape | None = None, *, fps: float | None = None, most: int | None = None
) -> VideoFrames:
    """Decode a video from its start.

    Args:
        path: The file.
        shape: What frames are scaled and cut to; None keeps the file's size, in square pixels.
        fps: Take, for each of so many moments a second, the frame nearest in time, the earlier one of two equally near,
            for as long as the video lasts: up to half a frame after its last one begins. None takes every frame.
        most: Largest number of frames.

    Raises:
        DataError: It cannot be read or has no frame.
    """
    try:
        with open_video(path) as video:
            return _read(video, shape, fps, most)
    except DataError as error:
        raise DataError(f"{path} {error.what}.", error.fix or _FIX) from error


def read_video(
    path: str | Path, shape: FrameShape | None = None, *, fps: float | None = None, most: int | None = None
) -> NDArray[np.uint8]:
    """The (T, H, W, 3) uint8 RGB frames of `read_frames`."""
    return read_frames(path, shape, fps=fps, most=most).frames


def _read(video: Video, shape: FrameShape | None, fps: float | None, most: int | None) -> VideoFrames:
    end_s = None if fps is None or most is None else (most - 1) / fps + _BEYOND_S
    frames: list[NDArray[np.uint8]] = []
    times: list[float | None] = []
    scaled: tuple[int, int] | None = None
    for frame in video.frames():
        if shape is not None and scaled is None:
            scaled = scaled_size(video.size, shape)
        picture = frame.rgb(scaled)
        frames.append(picture if shape is None else centre_cut(picture, shape).copy())
        times.append(frame.time_s)
        if fps is None and len(frames) == most:
            break
        if end_s is not None and _passed_s(times, video.fps) > end_s:
            break
    if not frames:
        raise DataError("has no frame")
    timeline = Timeline.of(_mended(times, video.fps))
    if fps is None:
        numbers = np.arange(len(frames))
    else:
        lasts_s = float(timeline.time_s(np.asarray([len(frames) - 1]))[0]) + timeline.interval_s / 2
        ticks = np.arange(int(np.floor(lasts_s * fps + 1e-6)) + 1)[:most] / fps
        numbers = timeline.nearest(ticks, 0, len(frames))
    return VideoFrames(
        frames=np.stack([frames[n] for n in numbers]),
        numbers=numbers,
        times_s=timeline.time_s(numbers),
        fps=_rate(timeline, video.fps),
        constant=timeline.times_s is None,
        size=video.size,
        damaged=video.damaged,
    )


def _passed_s(times: list[float | None], fps: float) -> float:
    """Time from the first frame to the last one; by their number where the file does not say."""
    first, last = times[0], times[-1]
    return (len(times) - 1) / fps if first is None or last is None else last - first


def _mended(times: list[float | None], fps: float) -> NDArray[np.float64]:
    """The file's times, or those of a constant rate where they are missing or do not increase."""
    known = np.asarray(times, dtype=np.float64)
    if np.isfinite(known).all() and increasing(known):
        return known
    return np.arange(len(times)) / fps


def _rate(timeline: Timeline, stated: float) -> float:
    measured = 1 / timeline.interval_s if timeline.interval_s else stated
    return stated if abs(measured - stated) <= _SAME_RATE * stated else measured
