"""Optuna's journal on any storage: one writer, cut lines tolerated, `study.journal` readable by optuna-dashboard.

An object store cannot append. There the journal grows by segments, objects below `study.journal.d/` that hold what each
`sync` adds and are named by the bytes of the journal that they hold; `close`, and the next driver, join them into
`study.journal`. To look at the journal of a sweep that runs: `python -m drivereplay.search.journal RUN FILE`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from drivereplay.errors import DriveReplayError
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

FILE = "study.journal"
SEGMENTS = "study.journal.d"
_MOST_SEGMENTS = 32
ASKED = "asked"
"""User attribute of a trial whose parameters have all been suggested: the last record of a suggestion."""


class Journal(BaseJournalBackend):
    """One JSON object a line, in the format of Optuna's `JournalFileBackend`.

    A sweep has one driver, so that no lock is taken, the file is read once, and only what `sync` is called for is
    forced to disk. A last line that a kill has cut in the middle is dropped: it records something that has not been
    acted upon, and the sweep, being deterministic, does it again.

    Args:
        storage: Directory of the run. On a remote filesystem `sync` writes what is new as a segment.
        require: Called before anything is written; raises if another driver writes there now.
    """

    def __init__(self, storage: Storage, require: Callable[[], None] = lambda: None) -> None:
        self._storage = storage
        self._require = require
        content = read_journal(storage)
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self._logs: list[dict[str, Any]] = [_record(line) for line in whole.splitlines()]
        except ValueError as error:
            raise _damaged(storage, str(error)) from error
        self._logs, whole = _whole_suggestions(self._logs, whole)
        self.dropped = len(content) - len(whole)
        """Bytes at the end that were cut or belonged to a suggestion that was not whole."""
        self._text = bytearray(whole)
        self._segments: list[str] = []
        self._synced = len(whole)
        self._file: BinaryIO | None = None
        local = storage.local
        if local is not None:
            local.mkdir(parents=True, exist_ok=True)
            path = Path(storage.path(FILE))
            if self.dropped:
                os.truncate(path, len(whole))
            self._file = path.open("ab")
        elif self.dropped or storage.names(SEGMENTS):
            self._join()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The records from a number on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append records; they reach the file, though not necessarily the disk, before this returns."""
        self._require()
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        # what is read back has to be what a reader of the file would see: enums and tuples become plain JSON
        self._logs += [json.loads(line) for line in lines.splitlines()]
        if self._file is not None:
            self._file.write(lines)
            self._file.flush()
        else:
            self._text += lines

    def sync(self) -> None:
        """Force what was appended to disk or to the remote filesystem."""
        self._require()
        if self._file is not None:
            os.fsync(self._file.fileno())
        else:
            self._add_segment()

    def close(self) -> None:
        """Sync and close the file; segments are joined."""
        try:
            self.sync()
            if self._segments:
                self._join()
        finally:
            if self._file is not None:
                self._file.close()

    def _add_segment(self) -> None:
        """Upload what is new; of many segments one is made, so that a reader never has thousands to list and fetch."""
        if len(self._text) == self._synced:
            return
        self._write_segment(self._synced)
        self._synced = len(self._text)
        if len(self._segments) < _MOST_SEGMENTS:
            return
        # the latest ones that are together not smaller than the one before them: each byte is so uploaded again at most
        # as often as the journal has doubled
        small = len(self._segments) - 1
        while small and _size(self._segments[small - 1]) <= sum(map(_size, self._segments[small:])):
            small -= 1
        old, self._segments = self._segments[small:], self._segments[:small]
        self._write_segment(_bounds(old[0])[0])
        self._delete(name for name in old if name not in self._segments)

    def _write_segment(self, begin: int) -> None:
        name = f"{begin:012d}-{len(self._text):012d}"
        self._storage.write(f"{SEGMENTS}/{name}", bytes(self._text[begin:]))
        self._segments.append(name)

    def _join(self) -> None:
        """Write the whole journal; only then do its segments go."""
        self._storage.write(FILE, bytes(self._text))
        self._delete(self._storage.names(SEGMENTS))
        self._segments = []

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._storage.delete(f"{SEGMENTS}/{name}")

    def storage(self) -> JournalStorage:
        """The Optuna storage over this journal.

        Raises:
            DriveReplayError: The journal holds records that are none of Optuna's.
        """
        from optuna.storages import JournalStorage

        try:
            return JournalStorage(self)
        # Optuna replays the records without checking them and fails with whatever a wrong one leads to
        except Exception as error:
            raise _damaged(self._storage, f"{type(error).__name__}: {error}") from error


def _record(line: bytes) -> dict[str, Any]:
    record = json.loads(line)
    if not isinstance(record, dict) or "op_code" not in record:
        raise ValueError(f"{line[:40]!r} is no record of Optuna's")
    return record


def _damaged(storage: Storage, reason: str) -> DriveReplayError:
    return DriveReplayError(
        f"{storage.uri}/{FILE} is damaged: {reason}.",
        "Move it away and resume: the candidates are kept, and the sampler starts from them.",
    )


def read_journal(storage: Storage) -> bytes:
    """The journal of a run with all of its segments; empty if there is none."""
    content = bytearray(storage.read(FILE) if storage.exists(FILE) else b"")
    # a driver that was killed while it joined segments leaves some whose bytes are there already
    for name in storage.names(SEGMENTS):
        begin, end = _bounds(name)
        if begin <= len(content) < end:
            content += storage.read(f"{SEGMENTS}/{name}")[len(content) - begin :]
    return bytes(content)


def _bounds(name: str) -> tuple[int, int]:
    """First byte of a segment, and the first one behind it."""
    begin, _, end = name.partition("-")
    return int(begin), int(end)


def _size(name: str) -> int:
    begin, end = _bounds(name)
    return end - begin


def _whole_suggestions(logs: list[dict[str, Any]], content: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """Without the records of a last suggestion that a kill has interrupted."""
    begun = max((n for n, log in enumerate(logs) if log["op_code"] == JournalOperation.CREATE_TRIAL), default=None)
    if begun is None or logs[begun].get("state") != TrialState.RUNNING:
        return logs, content
    if any(ASKED in log.get("user_attr", {}) for log in logs[begun:]):
        return logs, content
    return logs[:begun], b"".join(content.splitlines(keepends=True)[:begun])


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(read_journal(Storage.of(sys.argv[1])))
