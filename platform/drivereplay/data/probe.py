"""Looks at one video by decoding all of it: frames, times, cuts, and which reader reads it rightly."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.data.looks import Look, Looks
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.videos import Frame, Video, open_video
from drivereplay.videos.choice import right_reader
from drivereplay.videos.samples import THUMBNAIL, Samples
from drivereplay.videos.timeline import Timeline, increasing


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
    look: Look
    notes: tuple[str, ...] = ()
    damaged: int = 0
    """Frames that were left out because damage may show in them."""
    bits: int = 8
    """Bits of a colour that images use."""
    leading: int = 0
    """Frames that follow a key frame which is shown after them: groups of pictures are open."""


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
        part_s, missing = _part(path, recording)
        seen = _watched(video, part_s)
        if seen.count < 2:
            raise DataError(f"has {seen.count} frame(s); a clip needs at least two")
        times, notes = _mended(seen, video, recording)
        notes += [missing] if missing else []
        starts = [s for s in sorted({0, *seen.looks.cuts, *seen.breaks}) if s < seen.count]
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
            look=seen.looks.look(),
            notes=tuple(notes),
            damaged=video.damaged,
            leading=video.leading,
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


def _part(path: Path, recording: Recording) -> tuple[tuple[float, float] | None, str]:
    """From and to which second frames belong to a recording, and what is wrong with what the data set says of it.

    Both ends lie half way between two frames. Where the file has as many frames as the data set says, they are counted;
    else the frames nearest to the times are taken.
    """
    if recording.part_s is None:
        return None, ""
    shown = _frame_times(path, path.stat().st_mtime_ns)
    step = float(np.median(np.diff(shown))) if len(shown) > 1 else 0.0
    if recording.part_frames is None:
        return (recording.part_s[0] - step / 2, recording.part_s[1] - step / 2), ""
    first, count, total = recording.part_frames
    if len(shown) != total:
        said = f"its file has {len(shown)} frames where the data set counts {total}: its frames are those of its times"
        return (recording.part_s[0] - step / 2, recording.part_s[1] - step / 2), said
    ends = np.concatenate(([shown[0] - step], shown, [shown[-1] + step]))
    middle = (ends[1:] + ends[:-1]) / 2
    return (float(middle[first]), float(middle[first + count])), ""


@functools.lru_cache(maxsize=4)
def _frame_times(path: Path, modified_ns: int) -> NDArray[np.float64]:
    with open_video(path) as video:
        return video.frame_times()


@dataclass
class _Seen:
    """Collected while decoding."""

    timed: bool = True
    times: list[float] = field(default_factory=list)
    looks: Looks = field(default_factory=Looks)
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
    seen.looks.add(look, time_s)
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
