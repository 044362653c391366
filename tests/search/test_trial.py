"""One trial as its process sees it: its own experiment, and what decides which data it shares."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.evaluation.clips import StandInModel, make_clip
from tests.search.problems import experiment
from tests.training.helpers import small_spec

from drivereplay.data.clips import ClipSets
from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.evaluation.report import Estimate
from drivereplay.models import load_model
from drivereplay.search.trial import FineTuning, Judge, Outcome, TrialRequest, _data_key, evaluation_name
from drivereplay.spec import with_values
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import save_checkpoint
from drivereplay.training.keep import Scores
from drivereplay.training.loop import new_state

REQUEST = TrialRequest("t0001-s2", "replicate", 2, {"replay.frequency": 0.5}, "t0001")


def test_a_request_makes_the_trials_own_experiment(tmp_path: Path) -> None:
    spec = REQUEST.spec(experiment(tmp_path))
    assert (spec.replay.frequency, spec.seed, spec.evaluation.seed) == (0.5, 2, 0)
    assert TrialRequest.from_json(REQUEST.to_json()) == REQUEST


def test_trials_share_data_unless_domains_or_windows_differ(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    key = _data_key(spec)
    for change in ({"replay.frequency": 0.9}, {"replay.domains.a.weight": 3.0}, {"training.steps": 5}, {"seed": 4}):
        assert _data_key(with_values(spec, change)) == key
    for change in ({"clip.frames": 6}, {"evaluation.held_out": 0.5}, {"target.source.path": "/other"}):
        assert _data_key(with_values(spec, change)) != key


def test_objectives_have_to_exist_and_to_be_evaluated(tmp_path: Path) -> None:
    runner = FineTuning()
    assert runner.directions(["fidelity.psnr", "agents.flow_epe"]) == ("max", "min")
    with pytest.raises(SpecError, match=r"fidelity\.pnsr"):
        runner.directions(["fidelity.pnsr"])
    spec = experiment(tmp_path, objectives=["fidelity.psnr", "agents.flow_epe"])
    with pytest.raises(SpecError, match=r"agents\.flow_epe is not among evaluation\.metrics"):
        runner.prepare(with_values(spec, {"evaluation.metrics": ["fidelity.psnr"]}))


def test_metrics_of_constraints_that_cannot_be_computed_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIVEREPLAY_WEIGHTS", str(tmp_path))
    spec = experiment(tmp_path, objectives=["fidelity.psnr", "agents.flow_epe"], constraints={"fidelity.fvd": 1.0})
    with pytest.raises(DriveReplayError, match=r"fidelity\.fvd cannot be computed here"):
        FineTuning().prepare(spec)


def test_reports_hold_the_metrics_of_constraints(tmp_path: Path) -> None:
    objectives = ["fidelity.psnr", "agents.flow_epe"]
    spec = experiment(tmp_path, objectives=objectives, constraints={"fidelity.ssim": 0.1, "gpu_hours": 1.0})
    spec = with_values(spec, {"evaluation.metrics": objectives, "evaluation.videos": 0, "evaluation.resamples": 100})
    outcomes: list[Outcome] = []
    clips = [make_clip(number) for number in range(2)]
    judge = Judge(spec, Storage.of(tmp_path / "t"), clips, {}, lambda outcome: outcomes.append(outcome) is None)
    assert judge(StandInModel(), 2, "checkpoints/step-2")  # type: ignore[arg-type]
    assert set(outcomes[0].metrics) == {*objectives, "fidelity.ssim"}


def test_objectives_and_constraints_may_be_metrics_of_evaluation_sets(tmp_path: Path) -> None:
    spec = with_values(
        small_spec(str(tmp_path)),
        {
            "evaluation.sets": {"all": {}, "rare": {"split": "rare-motion"}},
            "evaluation.metrics": ["fidelity.psnr", "agents.ade@rare"],
            "evaluation.videos": 0,
            "search.objectives": ["fidelity.psnr@all", "agents.ade@rare"],
            "search.constraints": {"fidelity.ssim@rare": 0.1},
        },
    )
    assert FineTuning().directions(spec.search.objectives) == ("max", "min")
    outcomes: list[Outcome] = []
    clips = [make_clip(number) for number in range(3)]
    sets = ClipSets(clips, {"all": frozenset(c.name for c in clips), "rare": frozenset([c.name for c in clips[1:]])})
    judge = Judge(spec, Storage.of(tmp_path / "t"), sets, {}, lambda outcome: outcomes.append(outcome) is None)
    assert judge(StandInModel(), 2, "checkpoints/step-2")  # type: ignore[arg-type]
    (found,) = outcomes
    assert {"fidelity.psnr@all", "agents.ade@rare", "fidelity.ssim@rare"} <= set(found.metrics)
    assert "fidelity.ssim@all" not in found.metrics and "agents.ade@all" not in found.metrics
    assert [len(found.figures[name].units) for name in ("fidelity.psnr@all", "agents.ade@rare")] == [3, 2]
    assert set(found.figures) == {"fidelity.psnr@all", "agents.ade@rare", "fidelity.ssim@rare"}
    plain = with_values(spec, {"search.objectives": ["fidelity.psnr", "agents.ade@rare"]})
    with pytest.raises(SpecError, match="for example fidelity.psnr@all"):
        FineTuning().prepare(plain)


def test_a_judge_apart_is_asked_for_the_metrics_of_constraints_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(str(tmp_path), search={"constraints": {"fidelity.lpips": 0.1}}, evaluation={"apart": True})
    asked: list[Any] = []

    class Begun(Exception):
        pass

    def begin(spec: Any, *_: Any) -> None:
        asked.append(spec.search.objectives)
        raise Begun

    monkeypatch.setattr("drivereplay.search.apart.ApartJudge", begin)
    monkeypatch.setattr("drivereplay.search.apart.judged", begin)
    monkeypatch.setattr(FineTuning, "_clips", lambda self, spec: [])
    directory = Storage.of(tmp_path / "t")
    with pytest.raises(Begun):
        FineTuning().run(spec, REQUEST, directory, {}, lambda outcome: True)
    with pytest.raises(Begun):  # where the evaluator is lost
        Judge(spec, directory, [], {}, lambda outcome: True).judged(2, "checkpoints/step-2")
    assert asked == [(*spec.search.objectives, "fidelity.lpips")] * 2


def test_the_base_is_judged_where_a_run_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[torch.device] = []

    def evaluate(model: Any, *_: Any, **__: Any) -> Said:
        judged.append(model.device)
        return Said()

    monkeypatch.setattr("drivereplay.training.trainer.choose_device", lambda spec: torch.device("meta"))
    monkeypatch.setattr("drivereplay.evaluation.judge.evaluate_model", evaluate)
    monkeypatch.setattr("drivereplay.search.trial._save", lambda *_: None)
    monkeypatch.setattr(FineTuning, "_clips", lambda self, spec: [])
    base = TrialRequest("base", "base", 0, {}, "base")
    FineTuning().run(small_spec(str(tmp_path)), base, Storage.of(tmp_path / "base"), {}, lambda outcome: True)
    assert [device.type for device in judged] == ["meta"]


def test_what_a_process_keeps_is_not_sent_to_others() -> None:
    runner = FineTuning()
    runner._kept["clips"] = object()
    assert pickle.loads(pickle.dumps(runner))._kept == {}


def test_reports_are_named_by_step_and_variant() -> None:
    assert evaluation_name(200, "") == "step-200"
    assert evaluation_name(200, "wise-ft-0.50") == "step-200+wise-ft-0.50"


class Said:
    """A report as far as a judge looks at it."""

    protocol = SimpleNamespace(hash="abc")
    metrics = {"fidelity.psnr": Estimate(20.0, 19.0, 21.0, 4)}

    def figures(self, names: Any) -> dict[str, Any]:
        return {}

    def save(self, directory: Storage, name: str = "evaluation.json") -> None:
        directory.write(name, b"{}")


def test_what_was_still_being_judged_is_judged_first_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(evaluation={"apart": True})
    directory = Storage.of(tmp_path)
    state = new_state(load_model(spec), spec)
    for state.step in (2, 4, 6):
        save_checkpoint(directory, state, {})
    known = Outcome(2, Said.metrics, "abc")
    outcomes: list[Outcome] = []

    def judge() -> Judge:
        return Judge(spec, directory, [], {(2, ""): known}, lambda outcome: outcomes.append(outcome) is None)

    for step in (2, 4, 6, 8):
        judge().pending(step, "")
    judge().pending(6, "wise-ft-0.50")
    read: list[str] = []
    monkeypatch.setattr(Judge, "judged", lambda self, step, checkpoint: read.append(checkpoint) or Said())
    judge().catch_up()
    # 2 had been judged, 6 is where training goes on and tells of it, 8 was never whole
    assert read == ["checkpoints/step-00000004"] and [outcome.step for outcome in outcomes] == [4]
    assert Scores(directory).unjudged() == [2, 6, 8]
    assert json.loads(directory.read("scores.json"))["4"] == {"fidelity.psnr": -20.0}
    assert directory.names("evaluations") == ["step-4.json"]
