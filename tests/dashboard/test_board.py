"""What a sweep leaves for TensorBoard."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.context import RequestContext
from tests.dashboard.helpers import OBJECTIVES, accumulated, candidates, front, leave_trial, spec
from tests.dashboards.helpers import provider

from drivereplay.dashboard.board import SweepBoard, flat_parameters, front_table, settings
from drivereplay.evaluation.protocol import Protocol
from drivereplay.evaluation.report import Report
from drivereplay.spec import parse_spec
from drivereplay.storage import Storage
from tensorboard_pareto.reader import Reader


def report() -> Report:
    found = candidates()[0]
    return Report(
        protocol=Protocol({"clips": 8}),
        metrics=dict(found.metrics),
        directions={"fidelity.psnr": "max", "agents.ade": "min", "ego.ate": "min"},
        units={"fidelity.psnr": "dB"},
    )


def on_the_tab(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Candidates by name and the setup, as the plugin reads them."""
    reader = Reader(provider(run / "tensorboard"))
    reader.refresh(RequestContext())
    page = reader.page(limit=None)
    assert page.problems == []
    return {c["name"]: c for c in map(json.loads, page.candidates)}, page.setups["sweep"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole sweep's event files."""
    root = tmp_path_factory.mktemp("board")
    directory = Storage.of(root / "small")
    found = candidates()
    board = SweepBoard()
    board.started(spec(root), directory)
    for i, candidate in enumerate(found):
        leave_trial(directory, candidate.trial)
        board.candidate_evaluated(candidate, report())
        board.trial_ended([candidate], front(found[: i + 1]))
    board.ended(front(found))
    return root / "small"


def test_every_candidate_is_on_the_pareto_tab(run: Path) -> None:
    found, setup = on_the_tab(run)
    assert set(found) == {c.name for c in candidates()}
    assert found["t0007@60"]["status"] == "failed"
    assert found["t0004@60"]["parameters"]["replay.weights.b"] == 0.7
    assert found["t0001@60"]["kind"] == "naive"
    assert setup["objectives"] == list(OBJECTIVES)
    assert setup["directions"]["ego.ate"] == "min" and setup["units"] == {"fidelity.psnr": "dB"}
    assert setup["protocol"]["fields"] == {"clips": 8}
    assert setup["mix"] == ["replay.weights.a", "replay.weights.b"] and setup["title"] == "small"
    assert setup["reference"] == dict(zip(OBJECTIVES, front(candidates()).reference, strict=True))
    sure = setup["statistics"]
    assert {c.name for c in front(candidates()).front} <= set(sure["candidates"])
    assert sure["hypervolume"]["low"] < sure["hypervolume"]["high"]
    best = sure["candidates"][front(candidates()).front[0].name]
    assert 0 < best["probability_non_dominated"] <= 1 and all(
        set(f) == set(OBJECTIVES) for f in best["differences"].values()
    )


def test_details_of_a_candidate(run: Path) -> None:
    reader = Reader(provider(run / "tensorboard"))
    reader.refresh(RequestContext())
    own = parse_spec(__import__("yaml").safe_load(reader.settings(RequestContext(), "sweep", "t0004@60") or ""))
    assert own.replay.frequency == candidates()[4].parameters["replay.frequency"]
    curves = reader.curves(RequestContext(), "sweep", "t0004@60")["trials/t0004"]
    assert len(curves["loss/total"]) == 5 and curves["agents.ade"][0][0] == 60
    on_front = front(candidates()).front[0].name
    assert [v["candidate"] for v in reader.videos(RequestContext(), "sweep", on_front)] == ["", on_front]


def test_what_any_tensorboard_shows(run: Path) -> None:
    found = accumulated(run / "tensorboard" / "sweep")
    tags = found.Tags()
    volumes = [event.value for event in found.Scalars("front/hypervolume")]
    assert volumes[-1] == pytest.approx(front(candidates()).hypervolume, rel=1e-5)
    # one figure whenever the front has changed, and one at the end
    names = [[c.name for c in front(candidates()[:count]).front] for count in range(1, 11)]
    changed = [count for count in range(1, 11) if count == 1 or names[count - 1] != names[count - 2]]
    assert [image.step for image in found.Images("front")] == [*changed, 10]
    assert {"best/fidelity.psnr", "best/agents.ade", "front/size", "candidates/failed"} <= set(tags["scalars"])
    assert any(tag.startswith("videos/") for tag in tags["images"])
    assert "custom_scalars__config__" in tags["tensors"]
    assert "front/text_summary" in tags["tensors"] and "experiment/text_summary" in tags["tensors"]
    trial = accumulated(run / "tensorboard" / "trials" / "t0004").Tags()
    assert {"fidelity.psnr", "agents.ade", "loss/domain/driving"} <= set(trial["scalars"])
    # TensorBoard may be started on one trial alone
    assert {"custom_scalars__config__", "experiment/text_summary"} <= set(trial["tensors"])


def test_twenty_checkpoints_of_a_trial_are_written_twice_each_and_one_front_is_drawn(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path / "small")
    base = candidates()[4]
    rows = [replace(base, step=step, status="running") for step in range(1, 21)]
    board = SweepBoard()
    board.started(spec(tmp_path), directory)
    for row in rows:
        board.candidate_evaluated(row, report())
    found, _ = on_the_tab(tmp_path / "small")
    assert {c["status"] for c in found.values()} == {"running"} and len(found) == 20
    # the trial's figures of merit are there while it runs
    scalars = accumulated(tmp_path / "small/tensorboard/trials/t0004").Scalars("agents.ade")
    assert [event.step for event in scalars] == list(range(1, 21))
    ended = [replace(row, status="finished") for row in rows]
    board.trial_ended(ended, front(ended))
    found, _ = on_the_tab(tmp_path / "small")
    assert {c["status"] for c in found.values()} == {"finished"} and len(found) == 20
    written = accumulated(tmp_path / "small/tensorboard/sweep")
    records = sum(len(written.Tensors(tag)) for tag in written.Tags()["tensors"] if "t0004" in tag)
    assert len(written.Images("front")) == 1
    assert records <= 40
    board.ended(front(ended))


def test_a_resumed_sweep_goes_on(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path / "small")
    found = candidates(4)
    for part in (found[:2], found):
        board = SweepBoard()
        board.started(spec(tmp_path), directory)
        board.candidate_evaluated(part[-1], None)
        board.trial_ended([part[-1]], front(part))
        board.ended(front(part))
    shown, _ = on_the_tab(tmp_path / "small")
    assert set(shown) == {found[1].name, found[3].name}


def test_a_dominated_candidate_costs_no_figure(tmp_path: Path) -> None:
    found = candidates(6)
    worst = replace(
        found[4],
        metrics={n: replace(e, mean=-1e3 if n == "fidelity.psnr" else 1e3) for n, e in found[4].metrics.items()},
    )
    board = SweepBoard()
    board.started(spec(tmp_path), Storage.of(tmp_path / "small"))
    board.candidate_evaluated(found[3], None)
    board.trial_ended([found[3]], front(found[:4]))
    board.candidate_evaluated(worst, None)
    board.trial_ended([worst], front([*found[:4], worst]))
    images = accumulated(tmp_path / "small/tensorboard/sweep").Images("front")
    assert [image.step for image in images] == [4], "a dominated one changes nothing in the picture"
    board.ended(front([*found[:4], worst]))


def test_flat_parameters_and_settings(tmp_path: Path) -> None:
    experiment = spec(tmp_path)
    flat = flat_parameters({"replay.weights": [0.25, 0.75], "training.betas": [0.9, 0.99], "x": "y"}, experiment)
    assert flat == {
        "replay.weights.a": 0.25, "replay.weights.b": 0.75, "training.betas.0": 0.9, "training.betas.1": 0.99, "x": "y",
    }  # fmt: skip
    stale = replace(candidates()[0], parameters={"no.such.key": 1})
    assert settings(stale, experiment) == ""


def test_table_of_the_front(tmp_path: Path) -> None:
    found = front(candidates())
    table = front_table(found, spec(tmp_path)).splitlines()
    assert len([line for line in table if "@60" in line and line.startswith("|")]) == len(found.front)
    assert len({line.count(" | ") for line in table if line.startswith("| ")}) == 1
    assert any("(knee)" in line for line in table) and any("Hypervolume" in line for line in table)
