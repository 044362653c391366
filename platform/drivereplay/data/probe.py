"""Looks at one video by decoding all of it: frames, times, cuts, and which reader reads it rightly."""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.videos import Frame, Video, open_video
from drivereplay.videos.choice import right_reader
from drivereplay.videos.samples import THUMBNAIL, Samples
from drivereplay.videos.timeline import Timeline, increasing

_CUT_FACTOR = 8.0
_CUT_LEAST = 18.0
_HASH_EVERY_S = 1.0


@dataclass(frozen=True)
class Probe:
    """What is known about one usable recording; the columns of the index."""

    timeline: Timeline
    width: int
    height: int
    rotation_deg: int
    """Counterclockwise turn by which stored frames are shown, after mirroring."""
    mirrored: bool
    offset_s: float
    reader: str
    codec: str
    pixel_format: str
    gop: int
    bytes: int
    modified_ns: int
    digest: str
    look: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    notes: tuple[str, ...] = ()
    damaged: int = 0
    """Frames that were left out because damage may show in them."""


def probe(recording: Recording) -> Probe:
    """Decode a recording once from end to end.

    The frame count is the number of pictures that are decoded and shown: frames that an edit list discards do not
    count (decord counts them), and of several video streams the best one is taken, as decord and players do.

    Raises:
        DataError: It cannot be used; the message is the reason, without the recording's name.
    """
    if recording.images:
        from drivereplay.data.images import probe_images

        return probe_images(recording)
    path = Path(recording.path)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}") from error
    if size == 0:
        raise DataError("the file is empty (0 bytes)")
    before = path.stat().st_mtime_ns
    with open_video(path) as video:
        seen = _watched(video, recording.part_s)
        if seen.count < 2:
            raise DataError(f"has {seen.count} frame(s); a clip needs at least two")
        times, notes = _mended(seen, video, recording)
        starts = [s for s in sorted({0, *cuts(np.asarray(seen.changes)), *seen.breaks}) if s < seen.count]
        timeline = Timeline.of(times, starts)
        if len(timeline.starts) > len(starts):
            notes.append(f"its times jump {len(timeline.starts) - len(starts)} times: no clip crosses these places")
        offset = float(seen.times[0]) if seen.timed else 0.0
        reader = "av"
        # decord counts from the file's start, a part from its own
        if recording.part_s is None:
            in_file = offset + timeline.time_s(np.arange(seen.count)) if seen.timed else None
            reader, note = right_reader(video, seen.samples, in_file, timeline.least_s)
            notes += [note] if note else []
        elif not seen.timed:
            raise DataError("is a part of a file whose times cannot be trusted")
        return Probe(
            timeline=timeline,
            width=video.size[0],
            height=video.size[1],
            rotation_deg=90 * video.orientation.turns,
            mirrored=video.orientation.mirrored,
            offset_s=offset,
            reader=reader,
            codec=video.codec,
            pixel_format=video.pixel_format,
            gop=video.gop,
            bytes=size,
            modified_ns=before,
            digest=digest(path, recording.part_s),
            look=np.asarray(seen.hashes, dtype=np.uint64),
            notes=tuple(notes),
            damaged=video.damaged,
        )


def digest(path: Path, part_s: tuple[float, float] | None = None) -> str:
    """Hash of a file's content, and of which part of it is meant."""
    content = _content(path, path.stat().st_mtime_ns)
    if part_s is None:
        return content
    return hashlib.blake2b(f"{content} {part_s[0]!r} {part_s[1]!r}".encode(), digest_size=16).hexdigest()


@functools.lru_cache(maxsize=4)
def _content(path: Path, modified_ns: int) -> str:
    # remembered, as hundreds of recordings may be parts of one file
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@dataclass
class _Seen:
    """Collected while decoding."""

    timed: bool = True
    times: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    hashes: list[np.uint64] = field(default_factory=list)
    hashed_s: float = -math.inf
    last: NDArray[np.uint8] | None = None
    samples: Samples = field(default_factory=Samples)
    breaks: list[int] = field(default_factory=list)
    interlaced: int = 0

    @property
    def count(self) -> int:
        return len(self.times)


def _watched(video: Video, part_s: tuple[float, float] | None) -> _Seen:
    seen = _Seen()
    for frame in video.frames(part_s):
        if frame.after_damage:
            seen.breaks.append(seen.count)
        _take(frame, video, seen)
    return seen


def _take(frame: Frame, video: Video, seen: _Seen) -> None:
    seen.interlaced += frame.interlaced
    seen.timed &= frame.time_s is not None
    time_s = seen.count / video.fps if frame.time_s is None else frame.time_s
    look = frame.rgb((THUMBNAIL.width, THUMBNAIL.height))
    if seen.last is not None:
        seen.changes.append(float(np.abs(look.astype(np.int16) - seen.last).mean()))
    if time_s >= seen.hashed_s + _HASH_EVERY_S:
        seen.hashes.append(difference_hash(look))
        seen.hashed_s = time_s
    seen.last = look
    seen.times.append(time_s)
    seen.samples.add(look, key_frame=frame.key_frame)


_HIGH_RANGE = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of ITU-T H.273."""


def _mended(seen: _Seen, video: Video, recording: Recording) -> tuple[NDArray[np.float64], list[str]]:
    """Strictly increasing times, and what had to be done for them."""
    times = np.asarray(seen.times, dtype=np.float64)
    notes = []
    if video.damaged:
        without = ", and annotations, which count them, are not used" if recording.annotations else ""
        notes.append(f"{video.damaged} damaged frames were left out{without}")
    if seen.interlaced > seen.count / 2:
        notes.append("interlaced: both fields are shown in one frame, so what moves sideways has combed edges")
    if video.transfer in _HIGH_RANGE:
        notes.append(f"high dynamic range ({_HIGH_RANGE[video.transfer]}) is not tone-mapped: frames look pale")
    if not seen.timed or not increasing(times):
        seen.timed = False
        given = np.asarray(recording.timestamps_s, dtype=np.float64)
        if len(given) == len(times) and np.isfinite(given).all() and increasing(given):
            notes.append("the file has no times; those of the data set are taken")
            return given, notes
        rate = recording.fps or video.fps
        notes.append(f"times are missing or not increasing; a constant {rate:g} frames per second are assumed")
        times = np.arange(len(times)) / rate
    return times, notes


def cuts(change: NDArray[np.float64]) -> list[int]:
    """First frames of new shots: a change many times as large as those around it."""
    found = []
    for n in np.flatnonzero(change > _CUT_LEAST).tolist():
        around = np.concatenate([change[max(0, n - 8) : n], change[n + 1 : n + 9]])
        usual = float(np.median(around)) if len(around) else 0.0
        if change[n] > _CUT_FACTOR * max(usual, 0.5):
            found.append(n + 1)
    return found


def difference_hash(look: NDArray[np.uint8]) -> np.uint64:
    """64 bits: whether each of 8×8 regions of a picture is brighter than its right neighbour."""
    import cv2

    grey = look.astype(np.float32) @ np.asarray([0.299, 0.587, 0.114], dtype=np.float32)
    small = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return np.uint64(np.packbits(bits).view(np.uint64)[0])
