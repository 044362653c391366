"""The application itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from drivereplay import __version__
from drivereplay.cli.root import _version


def test_version_and_help_load_no_engine_and_are_quick() -> None:
    code = (
        "import sys; sys.argv = ['drivereplay', '--version']\n"
        "from drivereplay.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'ray', 'diffusers', 'cv2') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == [f"drivereplay {__version__}", "[]"]


def test_the_version_ends_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    _version(False)
    with pytest.raises(typer.Exit):
        _version(True)
    assert capsys.readouterr().out == f"drivereplay {__version__}\n"
