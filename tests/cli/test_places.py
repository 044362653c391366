"""Verbs on runs and clusters, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.s3 import S3Server
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment
from typer.testing import CliRunner

from drivereplay.cli import app


def test_a_run_in_an_object_store_is_named_by_its_address(s3_server: S3Server, tmp_path: Path) -> None:
    address = s3_server.uri("named")
    spec = experiment(tmp_path, trials=1).model_copy(update={"storage": address})
    sweep_locally(spec, runner=Analytic())
    run = address.replace("named?", "named/probe?")
    front = CliRunner().invoke(app, ["front", run, "--json"])
    assert front.exit_code == 0, front.output
    assert len(json.loads(front.stdout)["candidates"]) == 5
    status = CliRunner().invoke(app, ["status", run, "--json"])
    assert json.loads(status.stdout)["trials"] == "5 of 5 ended, 5 finished"
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["front", run])
    assert "given up" in shown.stdout and "P(non-dominated)" in shown.stdout


def test_submit_takes_files_requirements_and_variables_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOKEN_OF_MINE", "not to be shown")
    (tmp_path / "notes.txt").write_text("taken along")
    (tmp_path / "pins.txt").write_text("einops==0.8.1\n")
    options = ["--include", "notes.txt", "--requirements", "pins.txt", "--env", "TOKEN_OF_MINE"]
    result = CliRunner().invoke(app, ["submit", "--dry-run", "--json", *options, "--", "doctor"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert any(file["path"].endswith("notes.txt") for file in document["files"])
    assert "TOKEN_OF_MINE" in document["environment"] and "not to be shown" not in result.output
