"""Ingest: probes every recording, divides train from evaluation, and writes the clip index."""

from __future__ import annotations

import functools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from drivereplay import telemetry
from drivereplay.data.duplicates import Footage, Links, duplicates
from drivereplay.data.index import INDEX_VERSION, SCHEMA, ClipIndex, IngestReport
from drivereplay.data.isolated import Died, GaveUp, Isolated
from drivereplay.data.permutation import unit_interval
from drivereplay.data.probe import Probe, probe
from drivereplay.data.quality import count_labels, measure, timeline_of
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.session import quiet_ray_data
from drivereplay.spec import ClipSpec
from drivereplay.storage import Storage

PATIENCE_S = 300.0
"""How long one file may take before it is set aside; the clock starts when its decoding does."""
_SAVE_EVERY_S = 60.0
_PARTIAL = f"partial-{INDEX_VERSION}.parquet"
"""What an ingest that was interrupted had found out."""
_BLOCK_FILES = 16

Row = dict[str, Any]


def run(
    recordings: Sequence[Recording], *, domain: str, clip: ClipSpec, held_out: float, seed: int, out: str | Path
) -> ClipIndex:
    """See `drivereplay.data.index.ingest`."""
    _check_keys(recordings, domain)
    known = _known(out)
    rows: list[Row] = []
    set_aside: dict[str, str] = {}
    fresh = []
    for recording in recordings:
        row = known.get(recording.key)
        if not _named_in_utf8(recording):
            set_aside[recording.key.encode(errors="backslashreplace").decode()] = "its name is not UTF-8: rename it"
        elif row is not None and _unchanged(recording, row):
            labels_ns = row["labels_ns"] if row["annotations"] == recording.annotations else None
            rows.append({**row, **_declared(recording), "labels_ns": labels_ns})
        else:
            fresh.append(recording)
    saved = time.monotonic()
    for recording, result in probed(fresh):
        if isinstance(result, str):
            set_aside[recording.key] = result
            continue
        rows.append({**_row(result), **_declared(recording)})
        if time.monotonic() - saved > _SAVE_EVERY_S:
            _save_partial(rows, out)
            saved = time.monotonic()
    for row in rows:
        row["windows"] = sum(timeline_of(row).windows(clip.frames, clip.window_stride, clip.fps))
        if not row["windows"]:
            set_aside[row["key"]] = _no_clip(row, clip)
    rows = sorted((row for row in rows if row["windows"]), key=lambda row: str(row["key"]))
    if not rows:
        raise DataError(f"Domain '{domain}': no clip in {len(recordings)} videos. {_reasons(set_aside)}", _FIX)
    mark_duplicates(rows)
    for row in rows:
        _count_labels(row)
    divide(rows, held_out, seed)
    said = {recording.key: recording.notes for recording in recordings}
    clips = {s: sum(int(r["windows"]) for r in rows if r["split"] == s) for s in ("train", "evaluation")}
    report = IngestReport(
        domain=domain,
        videos=len(rows),
        clips=clips,
        seconds=float(sum(row["frames"] * row["interval_s"] for row in rows)),
        set_aside=dict(sorted(set_aside.items())),
        quality=[{**asdict(found), "where": list(found.where)} for found in measure(rows, recordings, set_aside, clip)],
        notes={row["key"]: note for row in rows if (note := _note(row, said.get(row["key"], ())))},
    )
    index = ClipIndex(domain, clip, _table(rows), report)
    index.save(out)
    Storage.of(out).delete(_PARTIAL)
    for state, count in (("used", len(rows)), ("set aside", len(set_aside))):
        telemetry.gauge("drivereplay_ingest_videos", count, domain=domain, state=state)
    for split, count in clips.items():
        telemetry.gauge("drivereplay_ingest_clips", count, domain=domain, split=split)
    return index


def _no_clip(row: Row, clip: ClipSpec) -> str:
    length = f"{clip.frames} frames at {clip.fps:g} fps"
    footage = f"{row['frames']} frames, {row['frames'] * row['interval_s']:.2f} s, in {len(row['starts'])} shot(s)"
    if row["interval_s"] > (clip.frames - 1) / clip.fps:
        return f"shows one image for longer than a clip ({length}) lasts: {footage}"
    return f"is shorter than a clip ({length}): {footage}"


_FIX = "Shorten clip.frames, raise clip.fps, or add videos."


def probed(recordings: Sequence[Recording]) -> Iterator[tuple[Recording, Probe | str]]:
    """Probe recordings, as a Ray Data job where this process is connected to Ray; a string is the reason why one cannot
    be used. They come in the order in which they are done.

    Each file is decoded in a process apart. One that kills it (FFmpeg does not survive everything) or hangs it is set
    aside like any other, while files of a node that dies are probed again elsewhere.
    """
    rows = [{"number": n, "recording": _Object(recording)} for n, recording in enumerate(recordings)]
    apart = functools.partial(_apart, function=_probed, patience_s=PATIENCE_S)
    alone = len(rows) < 2 or "ray" not in sys.modules or not sys.modules["ray"].is_initialized()
    for row in map(apart, rows) if alone else _by_ray(rows, apart):
        yield recordings[row["number"]], row["found"].value


def _by_ray(rows: list[Row], apart: Callable[[Row], Row]) -> Iterator[Row]:
    import ray
    import ray.data

    quiet_ray_data()
    cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
    each = min(_BLOCK_FILES, -(-len(rows) // (8 * cpus)))
    job = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // each)).map(apart, num_cpus=1)
    yield from job.iter_rows()


@dataclass(frozen=True)
class _Object:
    """Keeps Ray Data from making columns of what a row holds."""

    value: Any


def _apart(row: Row, function: Callable[[Recording], Probe | str], patience_s: float) -> Row:
    """Probe the recording of one row; runs in a Ray worker where there is Ray."""
    found: Probe | str
    try:
        found = _isolated(function)(row["recording"].value, patience_s)
    except Died as death:
        found = f"crashes the decoder ({death})"
    except GaveUp:
        found = f"was given up: decoding took more than {patience_s:.0f} s"
    return {"number": row["number"], "found": _Object(found)}


@functools.lru_cache(maxsize=1)
def _isolated(function: Callable[[Recording], Probe | str]) -> Isolated[Recording, Probe | str]:
    """The process apart of this process, kept from file to file."""
    return Isolated(function)


def _probed(recording: Recording) -> Probe | str:
    try:
        return probe(recording)
    except DataError as error:
        return error.what
    except Exception as error:  # noqa: BLE001 (whatever a library makes of one file, the others are still good)
        said = str(error).strip().splitlines()
        return f"cannot be read: {type(error).__name__}" + (f": {said[-1][:160]}" if said else "")


def mark_duplicates(rows: Sequence[Row]) -> None:
    """Note near duplicates, and give them and what they repeat one group, so that no split divides them."""
    found = duplicates({row["key"]: Footage(row["look"], row["moves"], row["digest"]) for row in rows})
    groups = {row["key"]: row["group"] for row in rows}
    links = Links()
    for key, others in found.items():
        for other in others:
            links.join(groups[key], groups[other])
    for row in rows:
        row["duplicate_of"] = found[row["key"]][0] if row["key"] in found else None
        row["group"] = links.of(row["group"])


def divide(rows: Sequence[Row], held_out: float, seed: int) -> None:
    """Set `split` of every row: whole groups, chosen by a keyed hash, that come to about `held_out` of the clips.

    What the reader or the experiment has decided stays, and holds for the rest of its group. Of two groups or more at
    least one is held out and one is not; a single group is all training.
    """
    decided: dict[str, str] = {}
    for row in rows:
        if row["split"] is not None and decided.get(row["group"]) != "evaluation":
            decided[row["group"]] = row["split"]
    clips: dict[str, int] = defaultdict(int)
    for row in rows:
        if row["group"] not in decided:
            clips[row["group"]] += row["windows"]
    splits = set(decided.values())
    wanted = set() if "evaluation" in splits else _held_out(clips, held_out, seed, train_elsewhere="train" in splits)
    for row in rows:
        if row["split"] is None:
            row["split"] = decided.get(row["group"]) or ("evaluation" if row["group"] in wanted else "train")


def _held_out(clips: Mapping[str, int], share: float, seed: int, *, train_elsewhere: bool) -> set[str]:
    if len(clips) < (1 if train_elsewhere else 2):
        return set()
    total = sum(clips.values())
    order = sorted(clips, key=lambda group: (unit_interval("held out", seed, group), group))
    chosen: set[str] = set()
    taken = 0
    for group in order:
        last = len(chosen) == len(clips) - 1 and not train_elsewhere
        # a group is taken if that brings the share nearer to what was asked for
        if not last and taken + clips[group] / 2 <= share * total:
            chosen.add(group)
            taken += clips[group]
    return chosen or {min(order, key=lambda group: clips[group])}


def _note(row: Row, said: Sequence[str]) -> str:
    twice = f"shows the same as {row['duplicate_of']}" if row["duplicate_of"] else None
    return "; ".join(filter(None, (*said, row["note"], twice)))


def _row(found: Probe) -> Row:
    line = found.timeline
    return {
        "frames": line.frames,
        "damaged": found.damaged,
        "width": found.width,
        "height": found.height,
        "rotation_deg": found.rotation_deg,
        "mirrored": found.mirrored,
        "fps": 1.0 / line.interval_s if line.interval_s else 0.0,
        "interval_s": line.interval_s,
        "offset_s": found.offset_s,
        "times_s": None if line.times_s is None else line.times_s.tolist(),
        "starts": list(line.starts),
        "reader": found.reader,
        "codec": found.codec,
        "pixel_format": found.pixel_format,
        "bits": found.bits,
        "gop": found.gop,
        "bytes": found.bytes,
        "modified_ns": found.modified_ns,
        "digest": found.digest,
        "look": found.look.hashes.tolist(),
        "moves": found.look.moves.tolist(),
        "repeated": found.look.repeated.tolist(),
        "empty": found.look.empty,
        "open_gop": found.leading > 0,
        "duplicate_of": None,
        "note": "; ".join(found.notes) or None,
    }


def _declared(recording: Recording) -> Row:
    """What the reader says; taken anew even where the file is unchanged."""
    return {
        "key": recording.key,
        "path": recording.path,
        "images": list(recording.images) or None,
        "part_s": None if recording.part_s is None else list(map(float, recording.part_s)),
        "group": recording.group or recording.key,
        "split": recording.split,
        "subset": recording.subset,
        "annotations": recording.annotations,
    }


def _count_labels(row: Row) -> None:
    """Set which frames have labels, unless that is known of these very annotations."""
    path = row["annotations"]
    if path is None:
        row["labels"] = row["labels_ns"] = None
        return
    files = [Path(path) / name for name in ("frames.parquet", "objects.parquet")]
    changed_ns = max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)
    if row.get("labels_ns") == changed_ns and changed_ns:
        return
    row["labels"], row["labels_ns"] = count_labels(path), changed_ns


def _table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in rows], schema=SCHEMA)


def _save_partial(rows: Sequence[Row], out: str | Path) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(_table(rows), sink, compression="zstd")
    Storage.of(out).write(_PARTIAL, sink.getvalue().to_pybytes())


def _known(out: str | Path) -> dict[str, Row]:
    """Rows of an index that is already there and of an ingest that was interrupted, by key."""
    storage = Storage.of(out)
    tables = []
    # what cannot be read, being damaged or of another version, is probed again
    if storage.exists("index.json"):
        with suppress(DataError):
            tables.append(ClipIndex.open(out).table)
    if storage.exists(_PARTIAL):
        with suppress(pa.ArrowException):
            tables.append(pq.read_table(pa.BufferReader(storage.read(_PARTIAL))).cast(SCHEMA))
    return {row["key"]: row for table in tables for row in table.to_pylist()}


def _unchanged(recording: Recording, row: Row) -> bool:
    if recording.images or any(row[name] != _declared(recording)[name] for name in ("path", "part_s")):
        return False
    try:
        stat = Path(recording.path).stat()
    except OSError:
        return False
    return (stat.st_size, stat.st_mtime_ns) == (row["bytes"], row["modified_ns"])


def _named_in_utf8(recording: Recording) -> bool:
    """Whether the names can be written into an index and given to every decoder."""
    try:
        "".join((recording.key, recording.path, *recording.images)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_keys(recordings: Sequence[Recording], domain: str) -> None:
    keys = [recording.key for recording in recordings]
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise DataError(f"Domain '{domain}': several recordings are called {', '.join(twice[:3])}.", "Rename them.")


def _reasons(set_aside: Mapping[str, str]) -> str:
    shown = [f"{key} {reason}" for key, reason in list(set_aside.items())[:5]]
    more = len(set_aside) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "") + "."


__all__ = ["PATIENCE_S", "divide", "probed", "run"]
