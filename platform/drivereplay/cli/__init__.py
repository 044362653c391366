"""The command line: verbs, and what becomes of errors."""

from __future__ import annotations

import errno
import json as jsonlib
import os
import sys
from typing import Any

import typer

from drivereplay.cli import experiments, places
from drivereplay.cli.root import app
from drivereplay.errors import DriveReplayError

__all__ = ["app", "experiments", "main", "places"]

_RESUMABLE = ("train", "sweep")


def main() -> None:
    """The console script; the only place where errors become lines and exit codes."""
    try:
        app(standalone_mode=True)
    except DriveReplayError as error:
        _fail(error.what, error.fix, error.exit_code)
    except BrokenPipeError:
        # `drivereplay ... | head`: the reader has gone, which is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # a full disk, a directory that may not be written: the system says which
        _fail(f"{error}.", f"{_remedy(error)}, then {_next_call()}.", 1)
    except KeyboardInterrupt:
        _fail("Interrupted.", f"To go on, {_next_call()}.", 130)


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free room on that disk"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Choose a place that you may write (TMPDIR for temporary files, HOME for caches)"
    if error.errno == errno.ENAMETOOLONG or "AF_UNIX path" in str(error):
        return "Choose a shorter path (TMPDIR for temporary files)"
    return "Correct the path"


def _next_call() -> str:
    if any(verb in sys.argv[1:2] for verb in _RESUMABLE):
        return "call it again with --resume: what is finished is kept"
    return "call it again"


def _fail(what: str, fix: str, code: int) -> None:
    arguments: list[Any] = sys.argv[1:]
    if "--json" in arguments:
        typer.echo(jsonlib.dumps({"error": what, "fix": fix, "exit_code": code}, ensure_ascii=False))
    typer.echo(f"error: {what}" + (f"\n{fix}" if fix else ""), err=True)
    sys.exit(code)
