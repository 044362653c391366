"""The data-quality report of a domain: what ingest measured, and which of it is beyond the experiment's limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay._sections.quality import Limit, QualitySpec
from drivereplay.domains.annotations import labelled_frames
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.videos.timeline import Timeline

_RATES = (1.0, 240.0)
_SLOWER = 0.99
"""A source of 29.97 frames per second is not slower than a clip of 30."""
_EXAMPLES = 5
_AT_A_TIME = 4096
"""Windows that are looked at together; bounds memory."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """One check of one domain.

    Attributes:
        check: Key of the experiment's section `quality`.
        value: What is compared with its limits.
        count: Recordings in which it shows.
        of: Recordings that were looked at.
        where: A few of them, each with what is wrong there.
    """

    check: str
    value: float
    count: int
    of: int
    where: tuple[str, ...] = ()

    def level(self, limit: Limit) -> str:
        """`ok`, `warn` or `fail`."""
        for name in ("fail", "warn"):
            bound = getattr(limit, name)
            if bound is not None and self.value > bound:
                return name
        return "ok"


def measure(
    rows: Sequence[Row], recordings: Sequence[Recording], set_aside: Mapping[str, str], clip: ClipSpec
) -> tuple[Measure, ...]:
    """All checks of one domain, in the order of `QualitySpec`.

    Args:
        rows: Of the index; each has clips.
        recordings: Of the domain, those that were set aside included.
        set_aside: Key → why it is not used.
        clip: What a clip is.
    """
    keyed = {recording.key: recording for recording in recordings}
    frames = sum(row["frames"] for row in rows)
    damaged = sum(row["damaged"] for row in rows)
    largest = max(rows, key=_pixels)
    annotated = [row for row in rows if row["annotations"] is not None]
    labels = {row["key"]: row["labels"] for row in annotated}
    missing = {key: _missing(row) for key, row in ((row["key"], row) for row in annotated)}
    repeated = {row["key"]: _clips_with_repetitions(row, clip) for row in rows}

    def share(check: str, said: Callable[[Row], str | None], among: Sequence[Row] = rows) -> Measure:
        found = [f"{row['key']}: {text}" for row in among if (text := said(row))]
        return Measure(check, len(found) / max(1, len(among)), len(found), len(among), tuple(found[:_EXAMPLES]))

    def part(check: str, amounts: Mapping[str, float], total: float, unit: str) -> Measure:
        found = {key: amount for key, amount in amounts.items() if amount}
        worst = sorted(found, key=lambda key: -found[key])[:_EXAMPLES]
        where = tuple(f"{key}: {found[key]:g} {unit}" for key in worst)
        return Measure(check, sum(found.values()) / max(1.0, total), len(found), len(amounts), where)

    aside = tuple(f"{key}: {reason}" for key, reason in list(set_aside.items())[:_EXAMPLES])
    clips = sum(row["windows"] for row in rows)
    some = annotated if labels else []
    return (
        Measure("set_aside", len(set_aside) / max(1, len(keyed)), len(set_aside), len(keyed), aside),
        part("damaged_frames", {row["key"]: row["damaged"] for row in rows}, frames + damaged, "frames"),
        part("repeated_frames", repeated, clips, "clips"),
        share("gaps", lambda row: _gaps(row, clip)),
        share("slow_source", lambda row: f"{row['fps']:.3g} fps" if row["fps"] < _SLOWER * clip.fps else None),
        share("frame_rate", lambda row: None if _RATES[0] <= row["fps"] <= _RATES[1] else f"{row['fps']:.3g} fps"),
        share("open_gop", lambda row: row["codec"] if row["open_gop"] else None),
        part("empty_frames", {row["key"]: row["empty"] for row in rows}, frames, "frames"),
        share("unlabelled_recordings", lambda row: None if row["annotations"] else "has none", rows if some else ()),
        part("unlabelled_frames", missing, sum(row["frames"] for row in some), "frames"),
        share("label_range", _outside, some),
        share("frame_count", lambda row: _counts(row, keyed.get(row["key"]))),
        share("duplicates", lambda row: f"shows {row['duplicate_of']}" if row["duplicate_of"] else None),
        Measure("max_pixels", _pixels(largest), 1, len(rows), (f"{largest['key']}: {_size(largest)}",)),
    )


def measures_of(saved: Sequence[Mapping[str, Any]]) -> tuple[Measure, ...]:
    """What `IngestReport.quality` holds."""
    return tuple(Measure(**{**row, "where": tuple(row["where"])}) for row in saved)


def table(measures: Sequence[Measure], limits: QualitySpec) -> list[dict[str, Any]]:
    """A row for each check: value, limits, whether it is beyond them, and where."""
    rows = []
    for found in measures:
        limit: Limit = getattr(limits, found.check)
        data = {**asdict(found), "where": list(found.where)}
        rows.append({"check": data.pop("check"), "level": found.level(limit), **limit.model_dump(), **data})
    return rows


def enforce(domain: str, measures: Sequence[Measure], limits: QualitySpec) -> None:
    """End a run whose data are beyond a limit.

    Raises:
        DataError: A check fails; the message names the domain, the checks and recordings.
    """
    failed = [row for row in table(measures, limits) if row["level"] == "fail"]
    if failed:
        said = "; ".join(
            f"{row['check']} is {row['value']:.3g}, above {row['fail']:g} ({', '.join(row['where'][:2])})"
            for row in failed
        )
        raise DataError(
            f"The data of domain '{domain}' look wrong: {said}.",
            f"Correct the data, or raise quality.{failed[0]['check']}.fail.",
        )


def count_labels(path: str) -> list[int]:
    """Frames that annotations are about, as first and last of each run of successive ones: [0, 8, 12, 12].

    Raises:
        DataError: They cannot be read.
    """
    numbers = labelled_frames(path)
    if not len(numbers):
        return []
    begins = np.flatnonzero(np.concatenate(([True], np.diff(numbers) != 1)))
    ends = np.concatenate((begins[1:], [len(numbers)])) - 1
    return np.stack([numbers[begins], numbers[ends]], axis=1).ravel().tolist()  # type: ignore[no-any-return]


def _ranges(row: Row) -> NDArray[np.int64]:
    return np.asarray(row["labels"] or [], dtype=np.int64).reshape(-1, 2)


def _missing(row: Row) -> int:
    """Frames of a video without a label."""
    ranges = np.clip(_ranges(row), [0, -1], [row["frames"], row["frames"] - 1])
    return int(row["frames"] - np.maximum(ranges[:, 1] - ranges[:, 0] + 1, 0).sum())


def _outside(row: Row) -> str | None:
    ranges = _ranges(row)
    if not len(ranges) or (ranges.min() >= 0 and ranges.max() < row["frames"]):
        return None
    return f"has labels of frames {ranges.min()} to {ranges.max()}, and {row['frames']} frames"


def _pixels(row: Row) -> float:
    return float(row["width"]) * float(row["height"])


def _size(row: Row) -> str:
    return f"{row['width']}x{row['height']}"


def _counts(row: Row, recording: Recording | None) -> str | None:
    stated = None if recording is None else recording.stated_frames
    return None if stated in (None, row["frames"]) else f"has {row['frames']} frames, the data set says {stated}"


def timeline_of(row: Row) -> Timeline:
    """When the frames of a video are shown."""
    times = None if row["times_s"] is None else np.asarray(row["times_s"], dtype=np.float64)
    return Timeline(row["frames"], row["interval_s"], times, tuple(row["starts"]))


def _gaps(row: Row, clip: ClipSpec) -> str | None:
    if row["times_s"] is None:
        return None
    line = timeline_of(row)
    after = line.gaps(clip.fps)
    if not len(after):
        return None
    longest = float((line.time_s(after) - line.time_s(after - 1)).max())
    return f"{len(after)}, up to {longest:.2f} s"


def _clips_with_repetitions(row: Row, clip: ClipSpec) -> int:
    """Clips of a video in which two successive frames show the same, by the clip's own interval.

    Either there is no frame in the source between them, where its usual rate would have one, or all that there are
    show the same as the first.
    """
    if row["times_s"] is None and not len(row["repeated"] or ()):
        return 0
    line = timeline_of(row)
    same = np.zeros(row["frames"] + 1, np.int64)
    same[np.asarray(row["repeated"] or (), dtype=np.int64) + 1] = 1
    same = np.cumsum(same)  # same[n + 1] - same[m + 1]: how many of the frames m + 1 … n repeat the one before
    usual = line.usual_s
    count = 0
    windows = line.numbers(clip.frames, clip.window_stride, clip.fps)
    for (first, last), numbers in zip(line.stretches(), windows, strict=True):
        for some in np.array_split(np.asarray(numbers, np.int64), len(numbers) // _AT_A_TIME + 1):
            start = line.time_s(np.asarray([first]))[0] + some * clip.window_stride / clip.fps
            moments = start[:, None] + np.arange(clip.frames) / clip.fps
            shown = line.nearest(moments.ravel(), first, last).reshape(moments.shape)
            steps = np.diff(shown, axis=1)
            repeats = (steps > 0) & (same[shown[:, 1:] + 1] - same[shown[:, :-1] + 1] == steps)
            # a source that is slower than the clip repeats frames anyway; that is another check
            lacking = (steps == 0) & (usual <= 1.001 / clip.fps)
            count += int((repeats | lacking).any(axis=1).sum())
    return count
