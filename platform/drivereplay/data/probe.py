"""Looks at one video by decoding all of it: frames, times, cuts, and which reader reads it rightly."""

from __future__ import annotations

import functools
import hashlib
import math
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.damage import SoundFrames
from drivereplay.data.frames import FramesByTime, shown_size
from drivereplay.data.samples import Samples
from drivereplay.data.timeline import Timeline
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError

_LOOK = (32, 18)
"""(width, height) of the grey thumbnails that cuts and near duplicates are found on."""
_CUT_FACTOR = 8.0
_CUT_LEAST = 18.0
_LARGE_BYTES = 32 << 20
"""Of larger files PyAV takes half the time and a third of the memory: after a seek decord reads packets far ahead, as
many as it can while it decodes."""
_HASH_EVERY_S = 1.0
_SLACK_S = 1e-3
"""Times of a part's ends are rounded."""


@dataclass(frozen=True)
class Probe:
    """What is known about one usable recording; the columns of the index."""

    timeline: Timeline
    width: int
    height: int
    rotation_deg: int
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
    seen = _decoded(path, recording.part_s)
    if seen.count < 2:
        raise DataError(f"has {seen.count} frame(s); a clip needs at least two")
    times, notes = _mended(seen, recording)
    starts = [s for s in sorted({0, *cuts(np.asarray(seen.changes)), *seen.breaks}) if s < seen.count]
    timeline = Timeline.of(times, starts)
    if len(timeline.starts) > len(starts):
        notes.append(f"its times jump {len(timeline.starts) - len(starts)} times: no clip crosses these places")
    offset = float(seen.times[0]) if seen.timed else 0.0
    # decord counts from the file's start, a part from its own
    reader, note = _reader(path, seen, timeline) if recording.part_s is None else ("av", "")
    if recording.part_s is not None and not seen.timed:
        raise DataError("is a part of a file whose times cannot be trusted")
    return Probe(
        timeline=timeline,
        width=seen.width,
        height=seen.height,
        rotation_deg=seen.rotation,
        offset_s=offset,
        reader=reader,
        codec=seen.codec,
        pixel_format=seen.pixel_format,
        gop=seen.gop,
        bytes=size,
        modified_ns=before,
        digest=digest(path, recording.part_s),
        look=np.asarray(seen.hashes, dtype=np.uint64),
        notes=(*notes, *([note] if note else [])),
        damaged=seen.damaged,
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

    width: int = 0
    height: int = 0
    rotation: int = 0
    container: str = ""
    codec: str = ""
    pixel_format: str = ""
    gop: int = 0
    rate: float = 0.0
    timed: bool = True
    times: list[float] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    hashes: list[np.uint64] = field(default_factory=list)
    hashed_s: float = -math.inf
    last: NDArray[np.uint8] | None = None
    scaler: Any = None
    samples: Samples = field(default_factory=Samples)
    breaks: list[int] = field(default_factory=list)
    damaged: int = 0
    leading: int = 0
    interlaced: int = 0
    transfer: int = 0

    @property
    def count(self) -> int:
        return len(self.times)


def _decoded(path: Path, part_s: tuple[float, float] | None) -> _Seen:
    import av
    from av.video.reformatter import VideoReformatter

    # kept from frame to frame: to set it up takes longer than to scale a frame
    seen = _Seen(scaler=VideoReformatter())
    try:
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            if stream is None:
                raise DataError("has no video stream" + (" (audio only)" if container.streams.audio else ""))
            if stream.codec_context is None:
                raise DataError("its video stream has a codec that is not known here")
            stream.codec_context.thread_count = 1
            seen.container = container.format.name
            seen.codec = stream.codec_context.name
            seen.rate = float(stream.average_rate or stream.guessed_rate or 25)
            if part_s is not None:
                container.seek(int(part_s[0] / stream.time_base), stream=stream)
            frames = SoundFrames(container, stream)
            for frame in frames:
                if part_s is not None and frame.time is not None:
                    if frame.time < part_s[0] - _SLACK_S:
                        continue
                    if frame.time >= part_s[1] - _SLACK_S:
                        break
                if frames.after_damage:
                    seen.breaks.append(seen.count)
                _take(frame, stream, seen)
            seen.damaged, seen.gop, seen.leading = frames.damaged, frames.gop, frames.leading
    except (av.error.FFmpegError, OSError, EOFError, ValueError) as error:
        if not seen.count:
            raise DataError(f"cannot be decoded: {_said(error)}") from error
        seen.damaged += 1
    return seen


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _take(frame: Any, stream: Any, seen: _Seen) -> None:
    if not seen.count:
        seen.rotation = int(frame.rotation) % 360
        seen.pixel_format = frame.format.name
        seen.transfer = int(frame.color_trc)
        seen.width, seen.height = shown_size(frame, stream)
    number = seen.count
    seen.interlaced += bool(frame.interlaced_frame)
    seen.timed &= frame.time is not None
    time_s = number / seen.rate if frame.time is None else float(frame.time)
    look = thumbnail(frame, seen.scaler)
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


def thumbnail(frame: Any, scaler: Any) -> NDArray[np.uint8]:
    """(18, 32, 3) uint8 RGB of a decoded frame, by a `VideoReformatter` that is used for all frames of a file."""
    small = scaler.reformat(frame, width=_LOOK[0], height=_LOOK[1], format="rgb24", interpolation="BILINEAR")
    return np.ascontiguousarray(small.to_ndarray())


def _mended(seen: _Seen, recording: Recording) -> tuple[NDArray[np.float64], list[str]]:
    """Strictly increasing times, and what had to be done for them."""
    times = np.asarray(seen.times, dtype=np.float64)
    notes = []
    if seen.damaged:
        without = ", and annotations, which count them, are not used" if recording.annotations else ""
        notes.append(f"{seen.damaged} damaged frames were left out{without}")
    if seen.interlaced > seen.count / 2:
        notes.append("interlaced: both fields are shown in one picture, so what moves sideways has combed edges")
    if seen.transfer in _HIGH_RANGE:
        notes.append(f"high dynamic range ({_HIGH_RANGE[seen.transfer]}) is not tone-mapped: pictures look pale")
    if not seen.timed or (np.diff(times) <= 0).any():
        seen.timed = False
        given = np.asarray(recording.timestamps_s, dtype=np.float64)
        if len(given) == len(times) and np.isfinite(given).all() and (np.diff(given) > 0).all():
            notes.append("the file has no times; those of the data set are taken")
            return given, notes
        rate = recording.fps or seen.rate or 25.0
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


def _reader(path: Path, seen: _Seen, timeline: Timeline) -> tuple[str, str]:
    """The quickest reader that gives the same pictures for the same frames as the sequential decode, and why it is not
    a quicker one: decord, PyAV by times, PyAV counting from the start."""
    decord, why = _decord(path, seen)
    if decord:
        return "decord", ""
    if not seen.timed or (not _seekable(path, seen, timeline) and (why := _COUNTED)):
        return "count", why
    return "av", why


_COUNTED = "after a seek it gives other pictures: read from the start, which takes long"
_GUESSED = "mpeg"
"""MPEG-PS. FFmpeg guesses most times after a seek, a frame or two off."""
_ENDLESS = "mpegts"
"""MPEG-TS. decord may skip frames for ever after a seek that comes down behind the wanted frame."""


def _decord(path: Path, seen: _Seen) -> tuple[bool, str]:
    """Whether decord gives the right frames, and what it does otherwise."""
    if seen.damaged or seen.container == _ENDLESS or (seen.timed and path.stat().st_size > _LARGE_BYTES):
        return False, ""
    if seen.leading:
        # after a seek to such a key frame decord counts these frames or not, as its decoder likes: dmlc/decord#365
        return False, f"{seen.leading} frames follow a key frame that is shown after them (open GOP): read by PyAV"
    try:
        import decord
    except ImportError:
        return False, ""
    try:
        video = decord.VideoReader(str(path), width=_LOOK[0], height=_LOOK[1], num_threads=1)
        if len(video) != seen.count:
            return False, f"decord counts {len(video)} frames, {seen.count} are shown: read by PyAV"
        for numbers in seen.samples.reads():
            for n, shown in zip(numbers, video.get_batch(numbers).asnumpy(), strict=True):
                if not seen.samples.alike(shown, n):
                    return False, f"decord gives another picture for frame {n}: read by PyAV"
    except decord.DECORDError as error:
        return False, f"decord cannot read it ({str(error).strip().splitlines()[-1][:80]}): read by PyAV"
    return True, ""


def _seekable(path: Path, seen: _Seen, timeline: Timeline) -> bool:
    """Whether PyAV gives the right frames by their times."""
    import av

    if seen.container == _GUESSED:
        return False
    try:
        with closing(FramesByTime(str(path))) as file:
            for numbers in seen.samples.reads():
                times = seen.times[0] + timeline.time_s(np.asarray(numbers))
                for n, time_s in zip(numbers, times.tolist(), strict=True):
                    if not seen.samples.alike(thumbnail(file.at(time_s, timeline.least_s / 2), seen.scaler), n):
                        return False
    except (av.error.FFmpegError, OSError, ValueError):
        return False
    return True
