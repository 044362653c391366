"""Which reader gives the right frames of a file: found out in the ways in which readers are used."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError
from drivereplay.videos.file import Video
from drivereplay.videos.geometry import Orientation
from drivereplay.videos.readers import READERS, DecordReader, Place, Reader
from drivereplay.videos.samples import THUMBNAIL, Samples

_LARGE_BYTES = 32 << 20
"""Of larger files PyAV takes half the time and a third of the memory: after a seek decord reads packets far ahead, as
many as it can while it decodes."""
_COUNTED = "after a seek it gives other frames: read from the start, which takes long"
_GUESSED = "mpeg"
"""MPEG-PS. FFmpeg guesses most times after a seek, a frame or two off."""
_ENDLESS = "mpegts"
"""MPEG-TS. decord may skip frames for ever after a seek that comes down behind the wanted frame."""


def right_reader(
    video: Video, samples: Samples, times_s: NDArray[np.float64] | None, interval_s: float
) -> tuple[str, str]:
    """The quickest reader that gives the same frames as the sequential decode, and why it is not a quicker one.

    Args:
        video: A file of which every frame has been decoded.
        samples: Thumbnails from that pass.
        times_s: (T,) times of its frames in the file; None where they cannot be trusted.
        interval_s: Least time between them.

    Returns:
        `decord`, `av` (by times) or `count` (from the start), and a note that may be empty.
    """
    if times_s is None:
        times_s = np.full(samples.count, np.nan)
        timed = False
    else:
        timed = True
    places = [Place(n, time_s) for n, time_s in enumerate(times_s.tolist())]
    decord, why = _decord(video, samples, places, timed=timed)
    if decord:
        return "decord", ""
    if not timed:
        return "count", why
    if video.container == _GUESSED or _difference(video, "av", samples, places, interval_s):
        return "count", _COUNTED
    return "av", why


def _decord(video: Video, samples: Samples, places: list[Place], *, timed: bool) -> tuple[bool, str]:
    """Whether decord gives the right frames, and what it does otherwise."""
    large = timed and Path(video.path).stat().st_size > _LARGE_BYTES
    if video.damaged or video.container == _ENDLESS or large:
        return False, ""
    if video.leading:
        # after a seek to such a key frame decord counts these frames or not, as its decoder likes: dmlc/decord#365
        return False, f"{video.leading} frames follow a key frame that is shown after them (open GOP): read by PyAV"
    if video.orientation != Orientation():
        # decord does not know mirroring, and frames that it turns and scales come out 6.7 levels of 255 off, others 1.0
        return False, "is shown turned or mirrored: read by PyAV"
    try:
        wrong = _difference(video, "decord", samples, places, 0.0)
    except ImportError:
        return False, ""
    return not wrong, f"decord {wrong}: read by PyAV"


def _difference(video: Video, name: str, samples: Samples, places: list[Place], interval_s: float) -> str:
    """What a reader does wrong; empty if nothing."""
    try:
        with closing(READERS[name](video.path, video.size, THUMBNAIL)) as reader:
            return _compared(reader, samples, places, interval_s)
    except DataError as error:
        return f"cannot read it ({error.what[:80]})"


def _compared(reader: Reader, samples: Samples, places: list[Place], interval_s: float) -> str:
    if isinstance(reader, DecordReader) and reader.count != samples.count:
        return f"counts {reader.count} frames, {samples.count} are shown"
    for numbers in samples.reads():
        for n, look in zip(numbers, reader.read([places[n] for n in numbers], interval_s), strict=True):
            if not samples.alike(look, n):
                return f"gives another frame for frame {n}"
    return ""
