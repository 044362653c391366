"""A candidate leaves as a diffusers directory with a card that says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate, CandidateTable
from drivereplay.search.export import candidate_spec, export_candidate
from drivereplay.search.front import front_of
from drivereplay.spec import with_values
from drivereplay.storage import Storage

NAMES = ("loss.looks", "loss.motion")
SETTING = {"replay.frequency": 0.4, "replay.weights": [0.5, 0.25, 0.25]}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = tmp_path / "probe"
    rows = []
    for trial, kept in (("t0", True), ("t1", False)):
        place = directory / "trials" / trial
        place.mkdir(parents=True)
        spec = with_values(experiment(tmp_path), SETTING)
        (place / "spec.yaml").write_text(spec.to_yaml())
        if kept:
            for name in ("model_index.json", "transformer/config.json", "training/state.json", "manifest.json"):
                (place / "checkpoints" / "step-00000030" / name).parent.mkdir(parents=True, exist_ok=True)
                (place / "checkpoints" / "step-00000030" / name).write_text("{}")
        metrics = {name: Estimate(1.0, 0.9, 1.2, 24) for name in NAMES}
        rows.append(
            Candidate(
                trial, 30, 5, "trial", SETTING, metrics, protocol="abc", status="finished", setting=trial,
                checkpoint=f"trials/{trial}/checkpoints/step-00000030",
            )
        )  # fmt: skip
    CandidateTable(Storage.of(directory)).append(rows)
    front_of(rows, NAMES, ("min", "min")).save(Storage.of(directory))
    return directory


def test_the_model_comes_without_what_only_training_needs_and_with_a_card(run: Path, tmp_path: Path) -> None:
    out = export_candidate(run, "knee", tmp_path / "out")
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert names == ["README.md", "model_index.json", "transformer/config.json"]
    card = (out / "README.md").read_text()
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["library_name"] == "diffusers"
    assert "the knee of the front" in body
    for said in (
        "| replay | a | 0.2 | videos |",
        "ρ = 0.4",
        "0.9 to 1.2",
        "Protocol `abc`",
        "training 5, evaluation 0",
    ):
        assert said in body, said


def test_what_cannot_be_exported_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no candidate 't9@30'"):
        export_candidate(run, "t9@30", tmp_path / "a")
    with pytest.raises(SpecError, match="not kept any more"):
        export_candidate(run, "t1@30", tmp_path / "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(SpecError, match="is not empty"):
        export_candidate(run, "knee", tmp_path / "full")


def test_a_candidate_becomes_an_experiment_of_its_own(tmp_path: Path) -> None:
    front = sweep_locally(experiment(tmp_path, trials=3, every=10, seed=4), runner=Analytic())
    chosen = next(c for c in front.candidates if c.trial == "t0001" and c.step == 20)
    found = candidate_spec(f"{tmp_path / 'probe'}:{chosen.name}", ["training.batch_size=32", "clip.height=64"])
    assert found.replay.frequency == chosen.parameters["replay.frequency"]
    assert list(found.replay.mix) == pytest.approx(chosen.parameters["replay.weights"])
    assert (found.seed, found.training.steps, found.training.batch_size, found.clip.height) == (4, 20, 32, 64)
    assert found.name == "probe-t0001" and found.search.space == {}
    for wrong, message in (("probe", "expected RUN:CANDIDATE"), (f"{tmp_path / 'probe'}:t9@1", "no candidate")):
        with pytest.raises(SpecError, match=message):
            candidate_spec(wrong)
