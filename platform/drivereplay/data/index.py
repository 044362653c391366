"""The clip index: one row per video, from which any of its clips is found in logarithmic time."""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from drivereplay.data.duplicates import Footage
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.storage import Storage
from drivereplay.videos.timeline import Timeline

if TYPE_CHECKING:
    from drivereplay.domains.worlds import WorldClips

INDEX_VERSION = 5
"""Raised when rows change their meaning; an index of another version is made anew. Up to version 3 `reader` could name
decord for files with open groups of pictures, whose frames it displaces."""

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("path", pa.string()),
        ("images", pa.list_(pa.string())),
        ("part_s", pa.list_(pa.float64())),
        ("group", pa.string()),
        ("split", pa.string()),
        ("subset", pa.string()),
        ("annotations", pa.string()),
        ("frames", pa.int64()),
        ("damaged", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rotation_deg", pa.int32()),
        ("mirrored", pa.bool_()),
        ("fps", pa.float64()),
        ("interval_s", pa.float64()),
        ("offset_s", pa.float64()),
        ("times_s", pa.list_(pa.float64())),
        ("starts", pa.list_(pa.int64())),
        ("windows", pa.int64()),
        ("reader", pa.string()),
        ("codec", pa.string()),
        ("pixel_format", pa.string()),
        ("bits", pa.int32()),
        ("gop", pa.int32()),
        ("bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("digest", pa.string()),
        ("look", pa.list_(pa.uint64())),
        ("moves", pa.list_(pa.uint64())),
        ("repeated", pa.list_(pa.int64())),
        ("empty", pa.int64()),
        ("open_gop", pa.bool_()),
        ("labels", pa.list_(pa.int64())),
        ("labels_ns", pa.int64()),
        ("duplicate_of", pa.string()),
        ("note", pa.string()),
    ]
)
"""Columns of `videos.parquet`; `docs/data.md` says what each is."""


@dataclass(frozen=True)
class Window:
    """One clip's place in its video.

    Attributes:
        frames: (T,) source frame numbers; a frame occurs twice where the clip's rate is above the video's.
        times_s: (T,) times of those frames in the file.
        images: (T,) file names below `path` for an image sequence, else empty.
        start_s: Start in seconds from the video's first frame.
        source_size: (width, height) as shown, before resizing.
        reader: `decord`, `av`, `count` or `images`: which of them reads this file rightly.
        interval_s: Least time between the video's frames; their mean time where the rate is constant.
        bytes: Size of the file when it was ingested.
        modified_ns: Time of its last change then.
        group: Of the recording (`Recording.group`).
        bits: Bits of a colour that images use.
        rendered: The world's clips and the number of this one, where it is rendered and not read; else None.
    """

    domain: str
    key: str
    path: str
    images: tuple[str, ...]
    frames: tuple[int, ...]
    times_s: tuple[float, ...]
    start_s: float
    annotations: str | None
    subset: str
    source_size: tuple[int, int]
    reader: str
    interval_s: float
    bytes: int
    modified_ns: int
    group: str = ""
    bits: int = 8
    rendered: tuple[WorldClips, int] | None = None

    @property
    def name(self) -> str:
        """`domain/key@start_s`, unique within an experiment."""
        return f"{self.domain}/{self.key}@{self.start_s:.3f}"


@dataclass(frozen=True)
class IngestReport:
    """What an ingest found.

    Attributes:
        set_aside: Key of each recording that is not used → the reason.
        notes: Key → what a reader should know of a recording that is used.
        quality: The data-quality report: `Measure`s as plain data.
    """

    domain: str
    videos: int
    clips: dict[str, int]
    seconds: float
    set_aside: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    quality: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; what was set aside and noted as rows."""
        return {
            "domain": self.domain,
            "videos": self.videos,
            "seconds": self.seconds,
            "clips": dict(self.clips),
            "set_aside": [{"key": key, "reason": reason} for key, reason in self.set_aside.items()],
            "notes": [{"key": key, "note": note} for key, note in self.notes.items()],
        }

    def summary(self) -> str:
        """A few lines for people."""
        clips = ", ".join(f"{count} {split}" for split, count in self.clips.items())
        lines = [f"{self.domain}: {self.videos} videos, {self.seconds:.0f} s of footage, clips: {clips}"]
        lines += [f"  set aside {key}: {reason}" for key, reason in self.set_aside.items()]
        lines += [f"  note {key}: {note}" for key, note in self.notes.items()]
        return "\n".join(lines)


class ClipIndex:
    """The clips of one domain. Memory is O(videos); a clip costs a binary search.

    Clips are numbered from 0 in each split (`train`, `evaluation`), optionally within a subset.
    """

    def __init__(self, name: str, clip: ClipSpec, table: pa.Table, report: IngestReport, path: str = "") -> None:
        self.name = name
        self.clip = clip
        self.table = table
        self.report = report
        self.path = path
        self._chosen: NDArray[np.int64] | None = None
        self._starts: dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    @classmethod
    def open(cls, path: str | Path) -> ClipIndex:
        """Read an index that `ingest` wrote.

        Raises:
            DataError: It is missing, damaged or of another version.
        """
        storage = Storage.of(path)
        try:
            head = json.loads(storage.read("index.json"))
            table = pq.read_table(pa.BufferReader(storage.read("videos.parquet")))
            if head["version"] != INDEX_VERSION:
                raise DataError(f"{path} is a clip index of version {head['version']}.", "Ingest the domain again.")
            report = IngestReport(**head["report"])
            return cls(head["name"], ClipSpec(**head["clip"]), table.cast(SCHEMA), report, str(path))
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise DataError(f"{path} is no readable clip index: {error}.", "Ingest the domain again.") from error

    def save(self, path: str | Path) -> None:
        """Write `videos.parquet` and `index.json` to a directory or URI; the latter last, so that an index is whole."""
        storage = Storage.of(path)
        sink = pa.BufferOutputStream()
        pq.write_table(self.table, sink, compression="zstd")
        head = {
            "version": INDEX_VERSION,
            "name": self.name,
            "clip": self.clip.model_dump(mode="json"),
            "report": asdict(self.report),
        }
        storage.write("videos.parquet", sink.getvalue().to_pybytes())
        storage.write("index.json", json.dumps(head, indent=1).encode())
        self.path = str(path)

    def kept(self, clips: NDArray[np.int64]) -> ClipIndex:
        """The same index with only these of its training clips, renumbered from 0 (a replay buffer)."""
        index = copy.copy(self)
        index._chosen = self.numbers(np.asarray(clips, dtype=np.int64))
        return index

    def trained_on(self, subset: str) -> ClipIndex:
        """The same index with only the training clips of a subset; what is held out stays as it is.

        Raises:
            DataError: No training clip is of that subset.
        """
        if subset == "all":
            return self
        ends, rows = self._cumulative("train", "all")
        wanted = np.isin(rows, self._cumulative("train", subset)[1])
        begins = np.concatenate(([0], ends[:-1])) if len(ends) else ends
        clips = [np.arange(begin, end) for begin, end in zip(begins[wanted], ends[wanted], strict=True)]
        if not clips:
            raise DataError(
                f"Domain '{self.name}' has no training clip of split '{subset}'.",
                "Only worlds and annotated recordings know their split; `split: all` takes every clip.",
            )
        return self.kept(np.concatenate(clips))

    def footage(self, split: str) -> dict[str, Footage]:
        """What duplicates are found by, of each video of a split, by key."""
        _, rows = self._cumulative(split, "all")
        part = self.table.select(["key", "look", "moves", "digest"]).take(pa.array(rows)).to_pylist()
        return {row["key"]: Footage(row["look"], row["moves"], row["digest"]) for row in part}

    def without(self, dropped: Mapping[str, str]) -> ClipIndex:
        """The index without some videos, which the report names with the reasons given."""
        mask = pc.invert(pc.is_in(self.table["key"], pa.array(list(dropped), pa.string())))
        table = self.table.filter(mask)
        clips = {
            split: int(pc.sum(table.filter(pc.equal(table["split"], split))["windows"]).as_py() or 0)
            for split in ("train", "evaluation")
        }
        seconds = float(np.dot(table["frames"].to_numpy(), table["interval_s"].to_numpy()))
        set_aside = {**self.report.set_aside, **dropped}
        report = replace(self.report, videos=table.num_rows, clips=clips, seconds=seconds, set_aside=set_aside)
        return ClipIndex(self.name, self.clip, table, report, self.path)

    rendered = False
    """Whether clips are rendered when they are needed; their frames are never kept on disk."""

    @property
    def endless(self) -> bool:
        """Whether a run never comes to the end of its training clips."""
        return False

    def identity(self) -> Iterator[str]:
        """Everything that the decoded training clips depend on, besides the clip's definition."""
        for name in ("split", "digest", "reader", "interval_s", "offset_s", "starts", "times_s", "windows"):
            yield from map(repr, self.table[name].to_pylist())

    @property
    def total(self) -> int:
        """Training clips before a buffer chose among them."""
        ends, _ = self._cumulative("train", "all")
        return int(ends[-1]) if len(ends) else 0

    def numbers(self, clips: NDArray[np.int64]) -> NDArray[np.int64]:
        """Numbers among all training clips (0 … total−1) of numbers among those that are kept."""
        return clips if self._chosen is None else self._chosen[clips]

    @property
    def choice(self) -> str:
        """Hash of which training clips are kept; empty where all are."""
        return "" if self._chosen is None else hashlib.blake2b(self._chosen.tobytes(), digest_size=8).hexdigest()

    def count(self, split: str, subset: str = "all") -> int:
        """Number of clips of `train` or `evaluation`."""
        if split == "train" and subset == "all" and self._chosen is not None:
            return len(self._chosen)
        ends, _ = self._cumulative(split, subset)
        return int(ends[-1]) if len(ends) else 0

    def window(self, split: str, n: int, subset: str = "all") -> Window:
        """Clip n of a split.

        Raises:
            DataError: There is no such clip.
        """
        if not 0 <= n < self.count(split, subset):
            count = self.count(split, subset)
            raise DataError(f"Domain '{self.name}' has {count} {split} clips; there is no clip {n}.")
        if split == "train" and subset == "all" and self._chosen is not None:
            n = int(self._chosen[n])
        ends, rows = self._cumulative(split, subset)
        place = int(np.searchsorted(ends, n, side="right"))
        return self._window(int(rows[place]), n - (int(ends[place - 1]) if place else 0))

    def videos(self, split: str) -> list[str]:
        """Keys of the videos of a split that have clips."""
        _, rows = self._cumulative(split, "all")
        return [str(key) for key in self.table["key"].take(pa.array(rows)).to_pylist()]

    def _cumulative(self, split: str, subset: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cumulative clip counts of the rows of a split that have clips, and the rows' numbers."""
        found = self._starts.get((split, subset))
        if found is None:
            mask = pc.and_(pc.equal(self.table["split"], split), pc.greater(self.table["windows"], 0))
            if subset != "all":
                mask = pc.and_(mask, pc.equal(pc.fill_null(self.table["subset"], ""), subset))
            rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).astype(np.int64)
            counts = self.table["windows"].to_numpy()[rows].astype(np.int64)
            found = (np.cumsum(counts), rows)
            self._starts[split, subset] = found
        return found

    @functools.lru_cache(maxsize=256)  # noqa: B019 (an index lives as long as its run)
    def _row(self, row: int) -> _Video:
        values = {name: self.table[name][row].as_py() for name in _WINDOW_COLUMNS}
        times = None if values["times_s"] is None else np.asarray(values["times_s"], dtype=np.float64)
        timeline = Timeline(values["frames"], values["interval_s"], times, tuple(values["starts"]))
        numbers = timeline.numbers(self.clip.frames, self.clip.window_stride, self.clip.fps)
        return _Video(values, timeline, timeline.least_s, numbers, np.cumsum([len(part) for part in numbers]))

    def _window(self, row: int, n: int) -> Window:
        values, timeline, least_s, numbers, ends = self._row(row)
        stretch = int(np.searchsorted(ends, n, side="right"))
        number = int(numbers[stretch][n - (int(ends[stretch - 1]) if stretch else 0)])
        clip = self.clip
        start, frames = timeline.window(stretch, number, clip.frames, clip.window_stride, clip.fps)
        images = values["images"]
        return Window(
            domain=self.name,
            key=values["key"],
            path=values["path"],
            images=tuple(images[f] for f in frames.tolist()) if images else (),
            frames=tuple(frames.tolist()),
            times_s=tuple((timeline.time_s(frames) + values["offset_s"]).tolist()),
            start_s=start,
            # they count frames that are gone
            annotations=None if values["damaged"] else values["annotations"],
            subset=values["subset"] or "",
            source_size=(values["width"], values["height"]),
            reader=values["reader"],
            interval_s=least_s,
            bytes=values["bytes"],
            bits=values["bits"],
            modified_ns=values["modified_ns"],
            group=values["group"],
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_starts": {}}


class _Video(NamedTuple):
    """A row of the table, made ready for finding windows."""

    values: Mapping[str, Any]
    timeline: Timeline
    least_s: float
    numbers: list[Sequence[int] | NDArray[np.int64]]
    ends: NDArray[np.int64]


_WINDOW_COLUMNS = (
    "key", "path", "images", "group", "annotations", "subset", "frames", "damaged", "width", "height", "interval_s",
    "offset_s", "times_s", "starts", "reader", "bytes", "modified_ns", "bits",
)  # fmt: skip


def ingest(
    recordings: Sequence[Recording],
    *,
    domain: str,
    clip: ClipSpec,
    held_out: float,
    seed: int,
    out: str | Path,
) -> ClipIndex:
    """Probe recordings by decoding them and write the clip index of a domain.

    Each file is decoded once, by a Ray Data job where this process is connected to Ray. What cannot be used is set
    aside in the report. An index that is already there is used for every file that has not changed since; so is what
    an ingest that was interrupted had found.

    Args:
        recordings: From `drivereplay.domains.recordings`.
        domain: The domain's name.
        clip: What a clip is.
        held_out: Share of the clips that is held out for evaluation, by recording group.
        seed: Key of the choice of held-out recordings.
        out: Directory or URI of the index.

    Raises:
        DataError: Not one clip is left; the message names the reasons.
    """
    from drivereplay.data.ingest import run

    return run(recordings, domain=domain, clip=clip, held_out=held_out, seed=seed, out=out)
