"""The command line itself: every verb explains itself, errors become one line and the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.footage import moving_square
from tests.s3 import S3Server
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment
from typer.testing import CliRunner

from drivereplay import __version__
from drivereplay.api import QUICKSTART
from drivereplay.cli import app
from drivereplay.data.video import write_video

VERBS = [
    "demo", "worlds", "ingest", "plan", "train", "generate", "evaluate", "sweep", "front", "submit", "dashboard",
    "weights", "doctor", "spec", "jobs", "logs", "stop", "status",
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    "verb", ["demo", "worlds", "ingest", "plan", "train", "generate", "evaluate", "sweep", "front"]
)
def test_every_verb_speaks_json(verb: str) -> None:
    assert "--json" in CliRunner(env={"COLUMNS": "200"}).invoke(app, [verb, "--help"]).output


@pytest.mark.parametrize("verb", ["plan", "train", "sweep"])
def test_verbs_that_read_an_experiment_take_overrides(verb: str) -> None:
    assert "--set" in CliRunner(env={"COLUMNS": "200"}).invoke(app, [verb, "--help"]).output


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


def test_every_key_of_the_experiment_file_is_described() -> None:
    rows = json.loads(CliRunner().invoke(app, ["spec", "--keys", "--json"]).output)
    described = {row["key"]: row["meaning"] for row in rows}
    for key in (
        "replay.frequency",
        "training.retention.ewc",
        "replay.domains.N.weight",
        "target.source.path",
        "search.space",
    ):
        assert described[key], key


def test_the_resolved_spec_is_printed_with_overrides() -> None:
    experiment = Path(__file__).parent.parent / "experiments" / "dashcam.yaml"
    result = CliRunner().invoke(app, ["spec", str(experiment), "--set", "training.steps=7", "--json"])
    assert json.loads(result.output)["training"]["steps"] == 7


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


def test_a_dry_run_of_the_plan_counts_the_whole_run(ray_session: None, tmp_path: Path) -> None:
    for name in ("driving", "street"):
        for n in range(4):
            video = moving_square(n + 10 * (name == "street"), 24)
            (tmp_path / name).mkdir(exist_ok=True)
            write_video(tmp_path / name / f"{n}.mp4", video, 8.0)
    file = tmp_path / "small.yaml"
    file.write_text(
        f"name: small\nstorage: {tmp_path}/runs\nclip: {{frames: 6, context: 2, fps: 8, height: 32, width: 48}}\n"
        "target: {name: driving, source: {kind: videos, path: driving}}\n"
        "replay: {frequency: 0.25, domains: [{name: street, source: {kind: videos, path: street}}]}\n"
        "training: {steps: 10, batch_size: 8}\n"
    )
    result = CliRunner().invoke(app, ["plan", str(file), "--dry-run", "--world-size", "2", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["domain"]: row for row in json.loads(result.stdout)}
    assert (rows["driving"]["samples"], rows["street"]["samples"]) == (60, 20)
    assert rows["street"]["per rank"] == "10 10"


def test_no_cache_is_a_setting_of_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.api.foresee", lambda spec: {"cache": spec.training.cache})
    for options, cached in (([], True), (["--no-cache"], False)):
        result = CliRunner().invoke(app, ["train", str(QUICKSTART), "--dry-run", "--json", *options])
        assert json.loads(result.stdout) == {"cache": cached}


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
