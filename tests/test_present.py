"""What people and machines are shown."""

from __future__ import annotations

import json
import math

import pytest

from drivereplay import _present as present


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    present.show({"a": math.nan, "b": [1.0, math.inf], "c": {"d": "x"}}, True, lambda: None)
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [1.0, None], "c": {"d": "x"}}


def test_markup_in_names_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    present.table("rows", [{"name": "[red]street[/red]", "value": 0.123456}])
    out = capsys.readouterr().out
    assert "[red]street[/red]" in out and "0.1235" in out


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    present.table("jobs", [])
    assert capsys.readouterr().out == "no jobs\n"
