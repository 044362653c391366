"""Progress: lines in a log, a bar in a terminal, nothing where nobody looks."""

from __future__ import annotations

import io
import sys

import pytest

from drivereplay.training.curve import CurvePoint
from drivereplay.training.progress import Progress


def run(progress: Progress) -> None:
    with progress as shown:
        for step in range(6):
            shown.update(CurvePoint(step, 0.5, 1e-4, 1.0, {"driving": 0.4, "street": 0.6}), 8)


def test_a_log_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress("dashcam", 6, every=4))
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["dashcam: step 4/6", "dashcam: step 6/6"]
    assert "loss 0.5000 (driving 0.400 street 0.600)" in lines[0] and "samples/s" in lines[0]
    assert captured.out == ""  # standard output belongs to --json


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    run(Progress("dashcam", 6, every=4))
    assert "dashcam" in terminal.getvalue() and "6/6" in terminal.getvalue()


def test_nothing_is_shown_where_it_was_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress("dashcam", 6, every=1, show=False))
    assert capsys.readouterr().err == ""
