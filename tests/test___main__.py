"""`python -m drivereplay` is the command line."""

from __future__ import annotations

import subprocess
import sys

from drivereplay import __version__


def test_the_module_is_the_command_line() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "drivereplay", "--version"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout.strip()) == (0, f"drivereplay {__version__}")
