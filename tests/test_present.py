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


def test_jobs_have_times_that_people_read(capsys: pytest.CaptureFixture[str]) -> None:
    job = {"id": "sweep-a-1", "status": "FAILED", "verb": "sweep", "run": "/runs/a", "user": "ann@box"}
    job |= {"started_s": 1_795_000_000.0, "ended_s": 1_795_000_300.0, "exit_code": 1, "reason": "It fell over."}
    present.jobs([job, job | {"id": "sweep-b-1", "status": "PENDING", "started_s": None, "ended_s": None}])
    lines = capsys.readouterr().out.splitlines()
    failed = next(line for line in lines if line.startswith("sweep-a-1 "))
    assert "2026-11-1" in failed and "5 min" in failed
    assert lines[-1] == "sweep-a-1: It fell over."


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    present.jobs([])
    assert capsys.readouterr().out == "no jobs\n"
