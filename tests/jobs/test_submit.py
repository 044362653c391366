"""Verbs as jobs on a real cluster."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster.local.cluster import LocalCluster
from typer.testing import CliRunner

from drivereplay.cli import app
from drivereplay.errors import SpecError
from drivereplay.jobs import job_logs, list_jobs, stop_job, submit
from drivereplay.jobs.client import connect, hand_over
from drivereplay.jobs.follow import follow
from drivereplay.jobs.manage import PREFIX
from drivereplay.jobs.submit import preview
from drivereplay.spec import parse_spec


def test_a_verb_runs_on_the_cluster_with_the_resolved_experiment(
    reach: LocalCluster, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = submit(["spec", str(experiment), "--set", "seed=5", "--json"])
    out = capsys.readouterr().out
    assert code == 0
    inside = parse_spec(json.loads(out[out.index("{\n") :]))
    assert inside.seed == 5
    assert inside.target.source.path == str(experiment.parent / "clips")


def test_the_exit_code_is_the_verbs(reach: LocalCluster, tmp_path: Path) -> None:
    log: list[str] = []
    assert submit(["front", str(tmp_path)], write=log.append, say=log.append) == 2
    assert "There is no front.json" in "".join(log)


@pytest.mark.slow
def test_detached_returns_at_once_and_the_job_is_found_again(reach: LocalCluster, experiment: Path) -> None:
    said: list[str] = []
    assert submit(["spec", str(experiment)], wait=False, name="look up", say=said.append) == 0
    row = next(row for row in list_jobs() if row["id"].startswith("look-up-"))
    assert row["verb"] == "spec" and row["run"] == str(Path.cwd() / "runs" / "small")
    assert any(row["id"] in line for line in said)
    stop_job(row["id"])


@pytest.mark.slow
def test_the_same_sweep_is_followed_not_started_twice_and_later_resumed(reach: LocalCluster, experiment: Path) -> None:
    """A stand-in for the first sweep, with its metadata, that ends when it is told."""
    client = connect()
    sign = experiment.parent / "go"
    run = str(Path.cwd() / "runs" / "small")
    program = experiment.parent / "waits.py"
    program.write_text(
        "import pathlib, threading\n"
        f"while not pathlib.Path({str(sign)!r}).exists(): threading.Event().wait(0.05)\n"
        "print('rival?')\n",
        encoding="utf-8",
    )
    metadata = {f"{PREFIX}verb": "sweep", f"{PREFIX}run": run, f"{PREFIX}user": "bob@elsewhere"}
    first = hand_over(
        client,
        entrypoint=f"{sys.executable} {program}",
        submission_id="sweep-small-first",
        metadata=metadata,
    )
    said: list[str] = []
    log: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        sign.touch()

    assert submit(["sweep", str(experiment)], write=log.append, say=say) == 0
    assert f"already worked on by job {first}" in said[0]
    assert "rival?" in "".join(log)
    said.clear()
    submit(["sweep", str(experiment), "--dry-run"], write=log.append, say=said.append)
    assert f"was begun by job {first}: resuming it" in said[0]
    newest = list_jobs()[0]["id"]
    assert newest.startswith("sweep-small-") and newest.endswith("-2")
    assert "experiments/small.yaml --dry-run --resume" in job_logs(newest)[1]


@pytest.mark.parametrize(("verb", "resumed"), [("sweep", True), ("train", True), ("plan", False)])
def test_whatever_cluster_began_a_run_the_same_call_goes_on_with_it(
    experiment: Path, tmp_path: Path, verb: str, resumed: bool
) -> None:
    """A new cluster knows no earlier job; only the storage can tell."""
    (tmp_path / "into").mkdir()
    words = preview([verb, str(experiment)], tmp_path / "into").words
    assert (words[-1] == "--resume") is resumed
    (tmp_path / "again").mkdir()
    assert preview([verb, str(experiment), "--resume"], tmp_path / "again").words.count("--resume") == 1


def test_a_dry_run_submits_nothing_and_lists_what_would_travel(
    experiment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("SECRET_KEY", "do not print")
    arguments = ["sweep", str(experiment)]
    assert submit(arguments, dry_run=True, as_json=True, env=["SECRET_KEY"]) == 0
    text = capsys.readouterr().out
    document = json.loads(text)
    assert document["bytes"] == sum(file["bytes"] for file in document["files"])
    assert "SECRET_KEY" in document["environment"] and "do not print" not in text
    assert submit(arguments, dry_run=True) == 0
    text = capsys.readouterr().out
    assert "MiB" in text or "KiB" in text
    assert "drivereplay/jobs" in text and "sweep experiments/small.yaml" in text


def test_requirements_and_variables_reach_the_runtime_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "abc")
    file = tmp_path / "constraints.txt"
    file.write_text("# tested\nray==2.60.0  # engine\n\ntorch==2.13.0\n", encoding="utf-8")
    (tmp_path / "into").mkdir()
    found = preview(["doctor"], tmp_path / "into", requirements=file, env=["TOKEN_OF_MINE"])
    assert found.runtime_env["pip"] == ["ray==2.60.0", "torch==2.13.0"]
    assert found.runtime_env["env_vars"]["TOKEN_OF_MINE"] == "abc"


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://ann:pa55@pip.example/simple",
        "--extra-index-url=https://pa55@pip.example/simple",
        "mine @ git+https://ann:pa55@git.example/mine.git",
        "mine @ git+https://pa55@git.example/mine.git#egg=mine",
        "https://ann:pa55@files.example/mine.whl  # comment",
    ],
)
def test_a_login_in_a_requirement_is_refused_without_being_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(f"numpy\n{line}\n", encoding="utf-8")
    (tmp_path / "into").mkdir()
    with pytest.raises(SpecError, match="line 2") as caught:
        preview(["doctor"], tmp_path / "into", requirements=file)
    assert "pa55" not in str(caught.value)


def test_addresses_without_a_login_pass(tmp_path: Path) -> None:
    lines = [
        "mine @ git+https://git.example/mine.git@v1#egg=mine",
        "mine @ git+ssh://git@git.example/mine.git",
        "--index-url https://${USER}:${TOKEN}@pip.example/simple",
    ]
    file = tmp_path / "requirements.txt"
    file.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "into").mkdir()
    assert preview(["doctor"], tmp_path / "into", requirements=file).runtime_env["pip"] == lines


@pytest.mark.slow
def test_the_jobs_workers_log_json_lines(reach: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    runtime = preview(["doctor"], tmp_path / "into").runtime_env
    program = tmp_path / "into" / "program.py"
    program.write_text(
        "import logging, ray\nray.init()\n"
        "@ray.remote\ndef work():\n"
        "    from drivereplay.logs import fields\n"
        "    with fields(trial='t0001'):\n"
        "        logging.getLogger('drivereplay.training').info('from a worker')\n"
        "ray.get(work.remote())\n",
        encoding="utf-8",
    )
    client = connect()
    job = hand_over(client, entrypoint=f"{sys.executable} program.py", runtime_env=runtime)
    log: list[str] = []
    assert follow(client, job, log.append) == 0, "".join(log)
    line = next(line for line in "".join(log).splitlines() if "from a worker" in line)
    document = json.loads(line[line.index("{") :].removesuffix("\x1b[0m"))
    assert (document["trial"], document["logger"]) == ("t0001", "drivereplay.training")


def test_to_wait_can_be_said_and_is_the_default(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[bool] = []

    def submitted(arguments: list[str], *, wait: bool, **options: Any) -> int:
        assert arguments == ["sweep", str(experiment)]
        waited.append(wait)
        return 0

    monkeypatch.setattr("drivereplay.jobs.submit", submitted)
    for options in ([], ["--wait"], ["--detach"]):
        assert CliRunner().invoke(app, ["submit", *options, "--", "sweep", str(experiment)]).exit_code == 0
    assert waited == [True, True, False]
    result = CliRunner().invoke(app, ["submit", "--wait", "--detach", "--", "sweep", str(experiment)])
    assert isinstance(result.exception, SpecError) and "contradict" in str(result.exception)
    assert len(waited) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [({"env": ["NOT_SET_ANYWHERE"]}, "not set here"), ({"requirements": "missing.txt"}, "missing.txt")],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        preview(["doctor"], tmp_path, **options)
