"""Optuna's journal on any storage: one writer, cut lines tolerated, `study.journal` readable by optuna-dashboard."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
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
ASKED = "asked"
"""User attribute of a trial whose parameters have all been suggested: the last record of a suggestion."""


class Journal(BaseJournalBackend):
    """One JSON object a line, in the format of Optuna's `JournalFileBackend`.

    A sweep has one driver, so that no lock is taken, the file is read once, and only what `sync` is called for is
    forced to disk. A last line that a kill has cut in the middle is dropped: it records something that has not been
    acted upon, and the sweep, being deterministic, does it again.

    Args:
        storage: Directory of the run. On a remote filesystem the whole file is written at `sync`.
        require: Called before anything is written; raises if another driver writes there now.
    """

    def __init__(self, storage: Storage, require: Callable[[], None] = lambda: None) -> None:
        self._storage = storage
        self._require = require
        content = storage.read(FILE) if storage.exists(FILE) else b""
        whole = content[: content.rfind(b"\n") + 1]
        try:
            self._logs: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        except ValueError as error:
            raise DriveReplayError(
                f"{storage.uri}/{FILE} is damaged in the middle: {error}.",
                "Move it away and resume: the candidates are kept, and the sampler starts from them.",
            ) from error
        self._logs, whole = _whole_suggestions(self._logs, whole)
        self.dropped = len(content) - len(whole)
        """Bytes at the end that were cut or belonged to a suggestion that was not whole."""
        self._text = bytearray(whole)
        self._file: BinaryIO | None = None
        local = storage.local
        if local is not None:
            local.mkdir(parents=True, exist_ok=True)
            path = Path(storage.path(FILE))
            if self.dropped:
                os.truncate(path, len(whole))
            self._file = path.open("ab")

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
            self._storage.write(FILE, bytes(self._text))

    def close(self) -> None:
        """Sync and close the file."""
        try:
            self.sync()
        finally:
            if self._file is not None:
                self._file.close()

    def storage(self) -> JournalStorage:
        """The Optuna storage over this journal."""
        from optuna.storages import JournalStorage

        return JournalStorage(self)


def _whole_suggestions(logs: list[dict[str, Any]], content: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """Without the records of a last suggestion that a kill has interrupted."""
    begun = max((n for n, log in enumerate(logs) if log["op_code"] == JournalOperation.CREATE_TRIAL), default=None)
    if begun is None or logs[begun].get("state") != TrialState.RUNNING:
        return logs, content
    if any(ASKED in log.get("user_attr", {}) for log in logs[begun:]):
        return logs, content
    return logs[:begun], b"".join(content.splitlines(keepends=True)[:begun])
