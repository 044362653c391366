"""Verbs on experiments, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.footage import moving_square
from typer.testing import CliRunner

from drivereplay.api import QUICKSTART
from drivereplay.cli import app, experiments
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment file on two domains of four short videos."""
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
    return file


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


def test_the_resolved_spec_is_printed_with_overrides(project_root: Path) -> None:
    experiment = project_root / "experiments" / "dashcam.yaml"
    result = CliRunner().invoke(app, ["spec", str(experiment), "--set", "training.steps=7", "--json"])
    assert json.loads(result.output)["training"]["steps"] == 7


def test_a_dry_run_of_the_plan_counts_the_whole_run(ray_session: None, small: Path) -> None:
    result = CliRunner().invoke(app, ["plan", str(small), "--dry-run", "--world-size", "2", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["domain"]: row for row in json.loads(result.stdout)}
    assert (rows["driving"]["samples"], rows["street"]["samples"]) == (60, 20)
    assert rows["street"]["per rank"] == "10 10"


def test_no_cache_is_a_setting_of_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.api.foresee", lambda spec: {"cache": spec.training.cache})
    for options, cached in (([], True), (["--no-cache"], False)):
        result = CliRunner().invoke(app, ["train", str(QUICKSTART), "--dry-run", "--json", *options])
        assert json.loads(result.stdout) == {"cache": cached}


def test_prepare_foresees_and_fills(ray_session: None, small: Path, tmp_path: Path) -> None:
    dry = CliRunner().invoke(app, ["prepare", str(small), "--dry-run", "--json"])
    assert {row["domain"] for row in json.loads(dry.stdout)} == {"driving", "street"}
    assert not list(tmp_path.rglob("*.clips"))
    result = CliRunner().invoke(app, ["prepare", str(small), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["bad"] == {}
    assert all(row["decoded now"] == row["clips"] > 0 for row in document["domains"])
    assert list(tmp_path.rglob("*.clips"))


def test_no_cache_goes_with_what_was_set() -> None:
    assert experiments._with_cache(["training.steps=1"], True) == ["training.steps=1", "training.cache=false"]


def test_ingest_reports_data_that_look_wrong_and_enforces_limits(
    small: Path, tmp_path: Path, ray_session: None
) -> None:
    write_video(tmp_path / "street" / "slow.mp4", moving_square(7, 24), 5.0)
    limits = tmp_path / "limits.yaml"
    limits.write_text("slow_source: {warn: 0.1, fail: 0.5}\n")
    call = ["ingest", str(tmp_path / "street"), "--domain", "d", "--out", str(tmp_path / "index")]
    run = CliRunner().invoke(app, [*call, "--quality", str(limits), "--json"])
    checks = {row["check"]: row for row in json.loads(run.stdout)["quality"]}
    assert run.exit_code == 0
    assert (checks["slow_source"]["level"], checks["slow_source"]["value"]) == ("warn", 0.2)
    assert checks["slow_source"]["where"] == ["slow.mp4: 5 fps"]
    limits.write_text("name: a\ntarget: {}\nquality: {slow_source: {fail: 0.1}}\n")
    run = CliRunner().invoke(app, [*call, "--quality", str(limits), "--json"])
    # one document, which says what fails, and the error beside it
    checks = {row["check"]: row for row in json.loads(run.stdout)["quality"]}
    assert (run.exit_code, checks["slow_source"]["level"]) == (1, "fail")
    assert "look wrong: slow_source is 0.2, above 0.1 (slow.mp4: 5 fps)" in run.stderr
    # a run of the same data would not begin
    file = small.read_text() + "quality: {slow_source: {fail: 0.1}}\n"
    small.write_text(file)
    with pytest.raises(DataError, match="domain 'street' look wrong"):
        CliRunner().invoke(app, ["plan", str(small)], catch_exceptions=False)
