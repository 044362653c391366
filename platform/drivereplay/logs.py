"""Structured logs: one JSON object a line, with what is being worked on (trial, step) and where (node, process)."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = "drivereplay"
"""Root of this package's loggers."""

_fields: ContextVar[Mapping[str, Any]] = ContextVar("drivereplay_log_fields", default={})  # noqa: B039


@contextmanager
def fields(**values: Any) -> Iterator[None]:
    """Add fields to every line that is logged within the block, in this thread or task.

    Examples:
        >>> with fields(trial="t0003", step=120):
        ...     logging.getLogger("drivereplay.training").info("checkpoint written")
    """
    token = _fields.set({**_fields.get(), **values})
    try:
        yield
    finally:
        _fields.reset(token)


def current() -> Mapping[str, Any]:
    """The fields that a line logged here and now would have; to be handed on to other processes."""
    return dict(_fields.get())


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: `time` (UTC), `level`, `logger`, `message`, `node`, `pid`, the fields, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "node": platform.node(),
            "pid": record.process,
            **_fields.get(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def install(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send this package's log records to a stream as JSON lines; a second call replaces the first.

    Ray keeps what a worker writes to standard error in the worker's own log file, where the dashboard and a cluster's
    log collector find it. `drivereplay submit` names this function as its workers' set-up hook.

    Args:
        stream: None means standard error.
        level: Lowest level.
    """
    logger = logging.getLogger(LOGGER)
    for handler in list(logger.handlers):
        if isinstance(handler.formatter, JsonFormatter):
            logger.removeHandler(handler)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    logger.debug("logging from process %d", os.getpid())
