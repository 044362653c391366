"""The command line: verbs, and what becomes of errors."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from typing import Any

import typer

from drivereplay.cli import experiments, places
from drivereplay.cli.root import app
from drivereplay.errors import DriveReplayError

__all__ = ["app", "experiments", "main", "places"]


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
        _fail(f"{error}.", "What is finished is kept; free room or correct the path, then go on with --resume.", 1)
    except KeyboardInterrupt:
        _fail("Interrupted.", "What is finished is kept; `--resume` goes on.", 130)


def _fail(what: str, fix: str, code: int) -> None:
    arguments: list[Any] = sys.argv[1:]
    if "--json" in arguments:
        typer.echo(jsonlib.dumps({"error": what, "fix": fix, "exit_code": code}, ensure_ascii=False))
    typer.echo(f"error: {what}" + (f"\n{fix}" if fix else ""), err=True)
    sys.exit(code)
