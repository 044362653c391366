"""Reading candidates through TensorBoard's data provider: incremental, from local or remote log directories alike."""

from __future__ import annotations

import posixpath
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorboard import errors
from tensorboard.data import provider

from tensorboard_pareto import records

CHUNK = 500
"""Tags asked for at a time; a message with all of them could outgrow gRPC's limit."""
_Signature = tuple[Any, Any]
_Batch = dict[str, dict[str, _Signature]]
FRESH_S = 0.5
"""A poll within this time of the last listing is answered from memory."""


@dataclass
class Page:
    """What changed since a client's last poll.

    Attributes:
        epoch: Changes when something vanished from the log directory; a client then starts anew.
        version: To be sent back as `since`.
        more: Whether to ask again at once.
        busy: The log directory is being read at this moment, so that asking again soon is worth it.
        candidates: JSON of each new or changed candidate.
        setups: Run → setup record.
        problems: Records that could not be read, in words.
    """

    epoch: int
    version: int
    more: bool
    candidates: list[bytes]
    setups: dict[str, Any]
    problems: list[str]
    busy: bool = False


@dataclass
class _Row:
    version: int
    signature: tuple[Any, Any]
    data: bytes
    curves: list[str] = field(default_factory=list)


class Reader:
    """Keeps every candidate that it has read and asks only for tags that are new or have moved on.

    Args:
        data_provider: TensorBoard's data provider.
        experiment: TensorBoard's experiment id; empty for a log directory.
    """

    def __init__(self, data_provider: provider.DataProvider, experiment: str = "") -> None:
        self._provider = data_provider
        self._experiment = experiment
        self._rows: dict[tuple[str, str], _Row] = {}
        self._order: list[tuple[str, str]] = []
        self._setups: dict[str, tuple[tuple[Any, Any], Any]] = {}
        self._problems: dict[tuple[str, str], tuple[tuple[Any, Any], str]] = {}
        self._epoch = time.time_ns() // 1_000_000
        self._version = 0
        self._listed = 0.0
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self.reads = 0
        """Tags read so far; a poll without news leaves it as it is."""

    def poll(
        self, ctx: Any, *, since: int = 0, epoch: int | None = None, limit: int = 1000, wait_s: float = 0.05
    ) -> Page:
        """What is new; returns within about `wait_s` whatever the log directory's size, with what is known by then."""
        if time.monotonic() - self._listed > FRESH_S and not self._refreshing.locked():
            thread = threading.Thread(target=self._refresh_in_background, args=(ctx,), daemon=True)
            thread.start()
            thread.join(wait_s)
        return self.page(since=since, epoch=epoch, limit=limit)

    def page(self, *, since: int = 0, epoch: int | None = None, limit: int | None = 1000) -> Page:
        """What is known and newer than `since`, oldest first."""
        with self._lock:
            if epoch != self._epoch:
                since = 0
            fresh: list[tuple[str, str]] = []
            # `_order` is sorted by version; a poll looks at its end only
            for key in reversed(self._order):
                if self._rows[key].version <= since:
                    break
                fresh.append(key)
            fresh.reverse()
            more = limit is not None and len(fresh) > limit
            fresh = fresh[:limit]
            version = self._rows[fresh[-1]].version if fresh else since
            return Page(
                epoch=self._epoch,
                version=version,
                more=more,
                candidates=[self._rows[key].data for key in fresh],
                setups={run: record for run, (_, record) in self._setups.items()},
                problems=[text for _, text in self._problems.values()],
                busy=self._refreshing.locked(),
            )

    def refresh(self, ctx: Any) -> None:
        """List the log directory and read what is new.

        Raises:
            tensorboard.errors.PublicError: The data provider refused.
        """
        with self._refreshing:
            listing = self._provider.list_tensors(ctx, experiment_id=self._experiment, plugin_name=records.PLUGIN_NAME)
            self._forget({(run, tag) for run, tags in listing.items() for tag in tags})
            moved = {
                run: {
                    tag: signature
                    for tag, series in tags.items()
                    if self._is_new(run, tag, signature := _signature(series))
                }
                for run, tags in listing.items()
            }
            for batch in batches(moved, {run: set(tags) for run, tags in listing.items()}):
                self._take(ctx, batch)
            self._listed = time.monotonic()

    def settings(self, ctx: Any, run: str, name: str) -> str | None:
        """The candidate's settings as text; None if there is no such candidate. Not kept in memory."""
        tag = records.CANDIDATE + name
        datum = self._read(ctx, {run: [tag]}).get((run, tag))
        return None if datum is None else _strings(datum)[1].decode("utf-8", "replace")

    def curves(self, ctx: Any, run: str, name: str, points: int = 300) -> dict[str, dict[str, list[list[float]]]]:
        """Run → scalar tag → `[step, value]` of the candidate's training; empty without a candidate."""
        with self._lock:
            row = self._rows.get((run, records.CANDIDATE + name))
            wanted = list(row.curves) if row else []
        known = {r.run_name for r in self._provider.list_runs(ctx, experiment_id=self._experiment)}
        runs = [r for r in (resolve_run(run, relative) for relative in wanted) if r in known]
        if not runs:
            return {}
        found = self._provider.read_scalars(
            ctx,
            experiment_id=self._experiment,
            plugin_name="scalars",
            downsample=points,
            run_tag_filter=provider.RunTagFilter(runs=runs),
        )
        return {
            key: {tag: [[datum.step, float(datum.value)] for datum in series] for tag, series in sorted(tags.items())}
            for key, tags in sorted(found.items())
        }

    def videos(self, ctx: Any, run: str, name: str) -> list[dict[str, Any]]:
        """The candidate's videos and the real ones of the same clips: descriptions with the key of each film strip."""
        listing = self._provider.list_blob_sequences(
            ctx,
            experiment_id=self._experiment,
            plugin_name=records.PLUGIN_NAME,
            run_tag_filter=provider.RunTagFilter(runs=[run]),
        )
        wanted = []
        for tag, series in listing.get(run, {}).items():
            owner = _owner(series.plugin_content)
            if owner in (name, ""):
                wanted.append(tag)
        if not wanted:
            return []
        sequences = self._provider.read_blob_sequences(
            ctx,
            experiment_id=self._experiment,
            plugin_name=records.PLUGIN_NAME,
            downsample=1,
            run_tag_filter=provider.RunTagFilter(runs=[run], tags=wanted),
        )
        found = []
        for data in sequences.get(run, {}).values():
            if not data or len(data[-1].values) != 2:
                continue
            header, strip = data[-1].values
            try:
                description = records.decode(self._provider.read_blob(ctx, blob_key=header.blob_key))
            except ValueError:
                continue  # half-written by a killed process; the clip is shown once it is whole
            found.append({**description, "key": strip.blob_key})
        clips = {video["clip"] for video in found if video["candidate"] == name}
        return sorted((v for v in found if v["clip"] in clips), key=lambda v: (v["clip"], v["candidate"] != ""))

    def strip(self, ctx: Any, key: str) -> bytes | None:
        """The film strip with this key, or None where the key is no PNG of the log directory's."""
        try:
            data = self._provider.read_blob(ctx, blob_key=key)
        except (errors.NotFoundError, errors.InvalidArgumentError, KeyError, ValueError, TypeError, IndexError):
            # the providers do not agree on what a malformed key raises
            return None
        return bytes(data) if bytes(data[:8]) == b"\x89PNG\r\n\x1a\n" else None

    def _refresh_in_background(self, ctx: Any) -> None:
        try:
            self.refresh(ctx)
        except errors.PublicError as error:
            with self._lock:
                self._problems[("", "")] = ((None, None), f"The log directory could not be listed: {error}")
        else:
            with self._lock:
                self._problems.pop(("", ""), None)

    def _is_new(self, run: str, tag: str, signature: tuple[Any, Any]) -> bool:
        if (run, tag) in self._problems:
            return self._problems[run, tag][0] != signature
        if tag == records.SETUP:
            return run not in self._setups or self._setups[run][0] != signature
        if not tag.startswith(records.CANDIDATE):
            return False
        row = self._rows.get((run, tag))
        return row is None or row.signature != signature

    def _take(self, ctx: Any, batch: _Batch) -> None:
        data = self._read(ctx, batch)
        with self._lock:
            for (run, tag), datum in data.items():
                signature = batch[run][tag]
                self._problems.pop((run, tag), None)
                try:
                    raw = _strings(datum)[0]
                    record = records.decode(raw)
                    if tag == records.SETUP:
                        self._setups[run] = (signature, record)
                    else:
                        self._put(run, tag, signature, raw, record, datum.wall_time)
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    self._problems[run, tag] = (signature, f"{run}: {tag}: {error}")

    def _put(
        self, run: str, tag: str, signature: tuple[Any, Any], raw: bytes, record: dict[str, Any], wall_time: float
    ) -> None:
        name = tag.removeprefix(records.CANDIDATE)
        if not isinstance(record["metrics"], dict) or not isinstance(record["parameters"], dict):
            raise ValueError("metrics and parameters must be mappings")
        if not all(isinstance(figure, list) and len(figure) == 4 for figure in record["metrics"].values()):
            raise ValueError("a metric must be a list of mean, low, high and n")
        self._version += 1
        # what was written is sent as it is: encoding it anew would take most of the time of a first poll
        more = records.encode({"run": run, "name": name, "time": wall_time})
        data = raw.rstrip()[:-1] + b"," + more[1:]
        key = (run, tag)
        if key in self._rows:
            self._order.remove(key)
        self._rows[key] = _Row(self._version, signature, data, [str(c) for c in record.get("curves", ())])
        self._order.append(key)

    def _forget(self, present: set[tuple[str, str]]) -> None:
        with self._lock:
            gone = [key for key in self._rows if key not in present]
            gone_setups = [run for run in self._setups if (run, records.SETUP) not in present]
            for key in [key for key in self._problems if key not in present and key[1]]:
                del self._problems[key]
            for run in gone_setups:
                del self._setups[run]
            if gone:
                for key in gone:
                    del self._rows[key]
                self._order = [key for key in self._order if key in self._rows]
                self._epoch += 1

    def _read(self, ctx: Any, wanted: Mapping[str, Collection[str]]) -> dict[tuple[str, str], provider.TensorDatum]:
        """The last datum of each tag of each run."""
        self.reads += sum(map(len, wanted.values()))
        found = self._provider.read_tensors(
            ctx,
            experiment_id=self._experiment,
            plugin_name=records.PLUGIN_NAME,
            downsample=1,
            run_tag_filter=provider.RunTagFilter(runs=wanted, tags={tag for tags in wanted.values() for tag in tags}),
        )
        return {
            (run, tag): data[-1]
            for run, tags in found.items()
            for tag, data in tags.items()
            if data and tag in wanted[run]
        }


def batches(moved: Mapping[str, Mapping[str, _Signature]], listing: Mapping[str, Collection[str]]) -> Iterator[_Batch]:
    """What is to be read, in parts of at most `CHUNK` tags.

    A request names runs and tags apart and gets every pair of them. It may hold many runs, because each takes the data
    server some 40 ms whatever it asks for, but none in which another run's tag would be read anew.

    Args:
        moved: Run → tags to be read, with their signatures.
        listing: Run → all its tags.
    """
    batch: _Batch = {}
    count, asked, quiet = 0, set[str](), set[str]()
    for run, tags in moved.items():
        names = list(tags)
        for start in range(0, len(names), CHUNK):
            part = names[start : start + CHUNK]
            others = set(listing[run]) - set(part)
            if count + len(part) > CHUNK or run in batch or not asked.isdisjoint(others) or not quiet.isdisjoint(part):
                yield batch
                batch, count, asked, quiet = {}, 0, set(), set()
            batch[run] = {tag: tags[tag] for tag in part}
            count += len(part)
            asked |= set(part)
            quiet |= others
    if batch:
        yield batch


def resolve_run(run: str, relative: str) -> str | None:
    """The run that `relative` means, seen from `run`; None if it would lie outside the log directory."""
    if relative.startswith("/") or "\\" in relative or "\0" in relative:
        return None
    path = posixpath.normpath(posixpath.join(run, relative))
    return None if path == ".." or path.startswith("../") else path


def _signature(series: provider.TensorTimeSeries) -> _Signature:
    return (series.max_step, series.max_wall_time)


def _strings(datum: provider.TensorDatum) -> list[bytes]:
    return [value if isinstance(value, bytes) else str(value).encode() for value in datum.numpy.reshape(-1).tolist()]


def _owner(content: bytes) -> str | None:
    try:
        return str(records.decode(content)["candidate"])
    except (ValueError, KeyError):
        return None
