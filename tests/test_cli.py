"""The command line itself: every verb explains itself, errors become one line and the right exit code."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivereplay.cli import app, main

VERBS = [
    "demo", "worlds", "ingest", "plan", "prepare", "train", "generate", "evaluate", "sweep", "front", "submit",
    "dashboard", "weights", "doctor", "spec", "jobs", "logs", "stop", "status",
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    "verb", ["demo", "worlds", "ingest", "plan", "prepare", "train", "generate", "evaluate", "sweep", "front"]
)
def test_every_verb_speaks_json(verb: str) -> None:
    assert "--json" in CliRunner(env={"COLUMNS": "200"}).invoke(app, [verb, "--help"]).output


@pytest.mark.parametrize("verb", ["plan", "prepare", "train", "sweep"])
def test_verbs_that_read_an_experiment_take_overrides(verb: str) -> None:
    assert "--set" in CliRunner(env={"COLUMNS": "200"}).invoke(app, [verb, "--help"]).output


def test_an_error_is_one_message_on_stderr_and_a_document_on_stdout(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("name: a\ntarget: {name: d, source: {kind: world, world: highway}}\ntrainig: {}\n")
    command = [sys.executable, "-m", "drivereplay", "spec", str(path), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and "did you mean 'training'?" in run.stderr
    document = json.loads(run.stdout)
    assert document["exit_code"] == 2 and "trainig" in document["error"]


def test_an_unknown_option_is_a_wrong_call() -> None:
    assert CliRunner().invoke(app, ["front", "--nonsense"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "error", "advice"),
    [
        (
            ["ingest", "x"],
            OSError(errno.ENOSPC, "No space left on device"),
            "Free room on that disk, then call it again.",
        ),
        (
            ["sweep", "x"],
            OSError(errno.ENOSPC, "No space left on device"),
            "Free room on that disk, then call it again with",
        ),
        (["evaluate", "x"], PermissionError(errno.EACCES, "Permission denied"), "TMPDIR for temporary files, HOME for"),
        (
            ["train", "x"],
            OSError(errno.EROFS, "Read-only file system"),
            "again with --resume: what is finished is kept",
        ),
        (["demo"], OSError("AF_UNIX path length cannot exceed 107 bytes"), "a shorter path (TMPDIR"),
    ],
)
def test_the_advice_fits_the_error_and_the_verb(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    error: OSError,
    advice: str,
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("drivereplay.cli.app", fail)
    monkeypatch.setattr(sys, "argv", ["drivereplay", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 1 and advice in said
    assert ("--resume" in said) == (arguments[0] in ("sweep", "train"))
