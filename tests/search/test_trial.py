"""One trial as its process sees it: its own experiment, and what decides which data it shares."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from tests.search.problems import experiment

from drivereplay.errors import SpecError
from drivereplay.search.trial import FineTuning, TrialRequest, _data_key, evaluation_name
from drivereplay.spec import with_values

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


def test_what_a_process_keeps_is_not_sent_to_others() -> None:
    runner = FineTuning()
    runner._kept["clips"] = object()
    assert pickle.loads(pickle.dumps(runner))._kept == {}


def test_reports_are_named_by_step_and_variant() -> None:
    assert evaluation_name(200, "") == "step-200"
    assert evaluation_name(200, "wise-ft-0.50") == "step-200+wise-ft-0.50"
