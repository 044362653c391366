"""Studies: which runs there are, what is resumed, and one run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from drivereplay.errors import SpecError
from drivereplay.search.study import NONE, Study, _judge_base, _run_one, load_study, main, rows_of, run_study, runs
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.run import CheckpointEvent, checkpoint_steps

WORLD = {"kind": "world", "clips": 6, "split": "both", "seconds": 1.5}


def experiment(storage: Path) -> dict[str, Any]:
    return {
        "name": "study",
        "storage": str(storage),
        "clip": {"frames": 5, "context": 2, "fps": 8, "height": 32, "width": 48},
        "model": {"base": "random", "config": {"num_layers": 1, "num_attention_heads": 2}},
        "target": {"name": "highway", "source": {**WORLD, "world": "highway"}},
        "replay": {
            "domains": [
                {"name": "shapes", "source": {**WORLD, "world": "shapes", "split": "regular"}},
                {"name": "crowd", "source": {**WORLD, "world": "crowd", "split": "regular"}},
            ]
        },
        "training": {"steps": 2, "batch_size": 4},
        "evaluation": {
            "clips": 2,
            "denoising_steps": 1,
            "held_out": 0.5,
            "metrics": ["fidelity.psnr", "fidelity.ssim"],
        },
        "search": {"objectives": ["fidelity.psnr", "fidelity.ssim"]},
    }


def study(storage: Path, **changes: Any) -> Study:
    values: dict[str, Any] = {
        "experiment": experiment(storage),
        "replay_factors": ["source"],
        "factors": {
            "source": {"shapes": {"replay.weights": [1, 0]}, "crowd": {"replay.weights": [0, 1]}},
            "frequency": {name: {"replay.frequency": float(name)} for name in ("0", "0.25", "0.5", "0.75", "1")},
        },
        "seeds": [0, 1],
    }
    return Study.model_validate({**values, **changes})


def test_every_combination_is_run_once_and_no_replay_has_no_source(tmp_path: Path) -> None:
    found = runs(study(tmp_path))
    assert len(found) == 2 * (1 + 2 * 4)
    naive = [run for run in found if run.levels["frequency"] == "0"]
    assert [run.levels["source"] for run in naive] == [NONE, NONE]
    assert sorted(run.seed for run in naive) == [0, 1]
    assert len({run.id for run in found}) == len(found)
    assert [run.seed for run in found] == sorted(run.seed for run in found)


def test_runs_are_long_enough_for_equal_target_samples_up_to_a_limit(tmp_path: Path) -> None:
    values = experiment(tmp_path)
    values["training"]["steps"] = 100
    steps = {run.levels["frequency"]: run.steps for run in runs(study(tmp_path, experiment=values))}
    assert steps == {"0": (100, 100), "0.25": (100, 134), "0.5": (100, 200), "0.75": (100, None), "1": (100, None)}
    lengths = {run.levels["frequency"]: run.spec.training.steps for run in runs(study(tmp_path, experiment=values))}
    assert lengths == {"0": 100, "0.25": 134, "0.5": 200, "0.75": 100, "1": 100}


@pytest.mark.parametrize("often", [None, 30])
def test_a_long_run_is_judged_at_equal_steps_and_at_equal_target_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: int | None
) -> None:
    values = experiment(tmp_path)
    values["training"] |= {"steps": 100, "checkpoint_every": often}
    frequency = {"frequency": {"0.6": {"replay.frequency": 0.6}}}
    long = study(tmp_path, experiment=values, factors=frequency, replay_factors=[], most_steps=3.0, seeds=[0])

    def trained(spec: Spec, directory: Storage, *, on_checkpoint: Any, told_at: Any = None, **_: Any) -> None:
        for step in sorted(checkpoint_steps(spec)):
            if told_at is None or step in told_at:
                on_checkpoint(CheckpointEvent(step, None, directory))  # type: ignore[arg-type]

    monkeypatch.setattr("drivereplay.training.trainer.train", trained)
    monkeypatch.setattr("drivereplay.search.study._judged", lambda study, run, model, clips, head: [head])
    (run,) = runs(long)
    rows = _run_one(long, run, Storage.of(tmp_path), {})
    assert [(row["step"], row["budget"]) for row in rows] == [(100, "equal-steps"), (250, "equal-target")]


def test_the_base_is_judged_where_a_run_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    monkeypatch.setattr("drivereplay.training.trainer.choose_device", lambda spec: torch.device("meta"))
    monkeypatch.setattr(
        "drivereplay.search.study._judged",
        lambda study, run, model, clips, head: judged.append(model.device.type) or [],
    )
    small = study(tmp_path)
    assert _judge_base(small, runs(small)[0], {}) == []
    assert judged == ["meta"]


def test_only_takes_some_levels(tmp_path: Path) -> None:
    found = runs(study(tmp_path), only=["source=shapes", "frequency=0", "frequency=0.5"])
    assert {(run.levels["frequency"], run.levels["source"]) for run in found} == {("0", NONE), ("0.5", "shapes")}
    with pytest.raises(SpecError, match="source: shapes, crowd"):
        runs(study(tmp_path), only=["source=mars"])


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("experiment: {}\nfactors: {}\nseedz: [1]\n")
    with pytest.raises(SpecError, match="seedz"):
        load_study(path)


def test_the_shipped_study_is_valid(project_root: Path) -> None:
    path = project_root / "experiments" / "phenomenon.yaml"
    found = runs(load_study(path), base=path.parent)
    assert {run.levels["target"] for run in found} == {"highway", "town"}
    assert {run.levels["frequency"] for run in found} == {"0", "0.05", "0.125", "0.25", "0.5", "1"}
    assert len({run.seed for run in found}) >= 5
    long = project_root / "experiments" / "phenomenon-long.yaml"
    assert len(runs(load_study(long), base=long.parent)) == 10


def test_a_study_is_run_and_goes_on_where_it_stopped(tmp_path: Path, ray_session: None) -> None:
    small = study(
        tmp_path / "runs",
        factors={
            "source": {"shapes": {"replay.weights": [1, 0]}},
            "frequency": {"0": {"replay.frequency": 0.0}, "0.5": {"replay.frequency": 0.5}},
        },
        seeds=[3],
    )
    todo = runs(small)
    first = list(run_study(small, todo[:1]))
    budgets = {(row["budget"], row["split"], row["reference"]) for row in first}
    assert {("base", "regular", ""), ("base", "rare-motion", "frozen")} <= budgets
    assert {("equal-steps", "regular", ""), ("equal-target", "rare-motion", "")} <= budgets
    second = list(run_study(small, todo))
    assert {row["levels"]["frequency"] for row in second} == {"0.5"}
    assert {row["step"] for row in second} == {2, 4}
    assert len(rows_of(small, todo)) == len(first) + len(second)
    assert list(run_study(small, todo)) == []
    assert list((tmp_path / "runs" / "study" / "runs").rglob("*.safetensors")) == []

    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(small.model_dump(mode="json")))
    main([str(path), "--table", str(tmp_path / "table.md"), "--figure", str(tmp_path / "figure.png")])
    assert "| 0.5 |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
