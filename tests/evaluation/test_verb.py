"""`drivereplay evaluate --generated DIR --real DIR` as a stranger calls it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.evaluation.clips import make_clip
from typer.testing import CliRunner

from drivereplay.api import judging
from drivereplay.cli import app
from drivereplay.cli.experiments import _height_width
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, SpecError
from drivereplay.evaluation import scoring


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Three real videos of 10 frames, two generated ones of 8 and of another shape."""
    for n in range(3):
        clip = make_clip(n, frames=10)
        write_video(tmp_path / "real" / f"{n}.mp4", clip.frames, 8)
        if n < 2:
            write_video(tmp_path / "made" / f"{n}.mp4", np.roll(clip.frames[:8, :, :48], 1, axis=1), 8)
    return ["evaluate", "--generated", str(tmp_path / "made"), "--real", str(tmp_path / "real"), "--context", "2"]


def test_the_rules_that_errors_name_are_options(folders: list[str], tmp_path: Path) -> None:
    runner, found = CliRunner(), ["--metric", "fidelity.psnr", "--json"]
    asked: list[str] = []
    for option in (["--partial"], ["--frames", "8"], ["--size", "32x40"]):
        failed = runner.invoke(app, [*folders, *found, *asked])
        assert isinstance(failed.exception, DataError) and option[0] in str(failed.exception)
        asked += option
    report = json.loads(
        runner.invoke(app, [*folders, *found, *asked[:1], *asked[3:], "--frames", "4", "--fps", "4"]).stdout
    )
    fields = report["protocol"]["fields"]
    assert (fields["frames"], fields["fps"], fields["height"], fields["width"]) == (4, 4.0, 32, 40)


def test_the_second_evaluation_skips_the_work_on_real_videos(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = [*folders, "--metric", "fidelity.psnr", "--partial", "--frames", "8", "--size", "48x64"]
    first = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "a"), "--cache", str(tmp_path / "kept"), "--json"])
    made: list[int] = []
    original = scoring.score_real
    monkeypatch.setattr(scoring, "score_real", lambda *a: made.append(1) or original(*a))  # type: ignore[func-returns-value]
    second = CliRunner().invoke(app, [*call, "--out", str(tmp_path / "b"), "--cache", str(tmp_path / "kept"), "--json"])
    assert json.loads(first.stdout) == json.loads(second.stdout) and not made
    assert (tmp_path / "b" / "evaluation.html").is_file()


@pytest.mark.parametrize(("many", "started"), [(3, []), (2, ["ray"])])
def test_many_videos_are_worth_rays_start_and_few_are_not(
    folders: list[str], monkeypatch: pytest.MonkeyPatch, many: int, started: list[str]
) -> None:
    calls: list[str] = []
    monkeypatch.setattr("drivereplay.session.ensure_ray", lambda: calls.append("ray"))
    monkeypatch.setattr(judging, "MANY_VIDEOS", many)
    call = [*folders, "--metric", "fidelity.psnr", "--partial", "--frames", "8", "--size", "48x64"]
    assert CliRunner().invoke(app, call).exit_code == 0
    assert calls == started


def test_sizes_are_read_or_refused() -> None:
    assert _height_width("96x160") == (96, 160) and _height_width(None) is None
    for wrong in ("big", "96", "0x10", "96x-1"):
        with pytest.raises(SpecError, match="--size is"):
            _height_width(wrong)
