from __future__ import annotations

import pytest

from drivereplay.evaluation.counter import Counter


def test_a_log_gets_lines_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter("evaluate", 40, every_s=3600) as counter:
        for done in (16, 32, 40):
            counter(done)
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and shown.err.startswith("evaluate: 40/40 clips")
    with Counter("evaluate", 40, every_s=0) as counter:
        for done in (16, 32, 40):
            counter(done)
    assert capsys.readouterr().err.count("\n") == 3


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Counter("evaluate", 4) as counter:
        counter(4)
    assert "4/4" in capsys.readouterr().err


def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with Counter("evaluate", None) as counter:
        counter(3)
    assert capsys.readouterr().err == ""
