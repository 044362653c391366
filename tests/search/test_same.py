"""What a resume may change, and the hash that keeps candidates of different trainings apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay.errors import ProtocolError, SpecError
from drivereplay.search.front import load_front
from drivereplay.search.same import check_same, trained_with
from drivereplay.spec import Spec, parse_spec, with_values

SOURCE = {"kind": "videos", "path": "/nowhere"}
SPACE = {"replay.frequency": {"uniform": [0.1, 0.6]}, "replay.weights": "simplex"}


def changed(spec: Spec, change: dict[str, Any]) -> Spec:
    return with_values(spec, change)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"training.learning_rate": 1e-2}, "training.learning_rate was 0.0001 and is 0.01"),
        ({"training.batch_size": 2}, "training.batch_size was 16 and is 2"),
        ({"adapter.kind": "lora"}, 'adapter.kind was "full" and is "lora"'),
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"target.source.path": "/elsewhere"}, 'target.source.path was "/nowhere" and is "/elsewhere"'),
        ({"replay.domains.a.source.path": "/elsewhere"}, "replay.domains was"),
        ({"training.precision": "bf16"}, 'training.precision was "fp32" and is "bf16"'),
        ({"replay.loss_weight": 3.0}, "replay.loss_weight was 1.0 and is 3.0"),
        ({"training.steps": 20}, "training.steps was 30 and is 20"),
        ({"training.steps": 60, "training.schedule": "cosine"}, "training.steps was 30 and is 60"),
        ({"evaluation.clips": 7}, "evaluation.clips was 64 and is 7"),
        ({"search.sampler": "tpe"}, 'search.sampler was "auto" and is "tpe"'),
        ({"search.reference": [3.0, 3.0]}, "search.reference was null and is"),
        ({"search.constraints": {"loss.motion": 0.1}}, "search.constraints"),
        ({"search.scheduler": {"grace": 1}}, "search.scheduler"),
        (
            {"search.space": {"replay.frequency": {"uniform": [0.2, 0.6]}, "replay.weights": "simplex"}},
            "space.re",
        ),
        ({"search.space": {"replay.frequency": {"loguniform": [0.1, 0.6]}, "replay.weights": "simplex"}}, "space.repl"),
        ({"search.space": {"replay.frequency": {"uniform": [0.1, 0.6]}}}, "search.space.replay.weights was"),
        (
            {"search.space": {**SPACE, "training.learning_rate": {"loguniform": [1e-3, 1e-2]}}},
            r"search.space.training.learning_rate was \"not searched \(0.0001\)\"",
        ),
    ],
)
def test_what_would_mix_unlike_candidates_is_refused_with_both_values(
    tmp_path: Path, change: dict[str, Any], shown: str
) -> None:
    spec = experiment(tmp_path, space=SPACE)
    with pytest.raises(SpecError, match=shown):
        check_same(spec, changed(spec, change))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"search.trials": 40, "search.concurrent": 4, "search.patience": 5},
        {"search.constraints": {"gpu_hours": 9.0}},
        {"resources.cpus_per_worker": 2.0, "training.workers": 4},
        {"training.steps": 60},
        {"search.space": {"replay.frequency": {"uniform": [0.0, 0.9]}, "replay.weights": "simplex"}},
        {"search.space": {**SPACE, "training.learning_rate": {"loguniform": [1e-5, 1e-3]}}},
        {"replay.domains": [{"name": n, "source": SOURCE} for n in "abcd"]},
        {"search.racing": {"seeds": 3, "budget": 5}},
    ],
)
def test_what_only_grows_is_continued(tmp_path: Path, change: dict[str, Any]) -> None:
    spec = experiment(tmp_path, space=SPACE)
    check_same(spec, changed(spec, change))


def test_domains_added_to_a_mix_that_is_not_searched_would_change_every_trial(tmp_path: Path) -> None:
    spec = experiment(tmp_path, space={"replay.frequency": {"uniform": [0.1, 0.6]}})
    more = [{"name": n, "source": SOURCE} for n in "abcd"]
    with pytest.raises(SpecError, match="replay.weights was"):
        check_same(spec, changed(spec, {"replay.domains": more}))
    more[3] = {**more[3], "weight": 0.0}
    check_same(spec, changed(spec, {"replay.domains": more}))


def test_the_hash_is_of_what_is_trained_and_not_of_what_is_searched(tmp_path: Path) -> None:
    spec = experiment(tmp_path, space=SPACE)
    same = [{"search.trials": 99}, {"replay.frequency": 0.5}, {"name": "other"}, {"training.steps": 60}, {"seed": 3}]
    assert {trained_with(changed(spec, change)) for change in same} == {trained_with(spec)}
    others = [{"training.learning_rate": 1.0}, {"training.batch_size": 2}, {"target.source.path": "/x"}]
    assert trained_with(spec) not in {trained_with(changed(spec, change)) for change in others}


def test_a_front_never_mixes_candidates_of_two_trainings(tmp_path: Path) -> None:
    front = sweep_locally(experiment(tmp_path, trials=1), runner=Analytic())
    assert len({c.trained for c in front.candidates}) == 1
    from drivereplay.search.front import front_of

    mixed = [replace(front.candidates[-1], trained="other"), *front.candidates[:-1]]
    with pytest.raises(ProtocolError, match="trained with different"):
        front_of(mixed, front.objectives, front.directions)


def test_more_steps_continue_every_trial(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=3, every=10, steps=20, concurrent=1)
    log = tmp_path / "log"
    log.mkdir()
    first = sweep_locally(spec, runner=Analytic(log=log))
    longer = sweep_locally(with_values(spec, {"training.steps": 40}), resume=True, runner=Analytic(log=log))
    trials = {c.trial for c in longer.candidates if c.kind != "base"}
    assert len(trials) == 6
    for trial in trials:
        steps = [c.step for c in longer.candidates if c.trial == trial]
        assert steps == [10, 20, 30, 40]
        assert len(list(log.glob(f"{trial}.*"))) == 2
    assert {c.status for c in longer.candidates} == {"finished"}
    before = {c.name: (c.parameters, c.metrics) for c in first.candidates}
    assert {c.name: (c.parameters, c.metrics) for c in longer.candidates if c.name in before} == before


def test_a_domain_that_was_added_counts_as_weight_zero_in_older_candidates(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=6, concurrent=1)
    sweep_locally(spec, runner=Analytic())
    data = spec.model_dump(mode="json")
    data["replay"]["domains"] = [*data["replay"]["domains"], {"name": "d", "source": SOURCE}]
    data["search"]["trials"] = 9

    class Four(Analytic):
        def values(self, spec: Spec, step: int) -> tuple[float, float]:
            assert len(spec.replay.mix) == 4
            return super().values(with_values(spec, {"replay.domains": data["replay"]["domains"][:3],
                                                     "replay.weights": [0.6, 0.3, 0.1]}), step)  # fmt: skip

    grown = sweep_locally(parse_spec(data), resume=True, runner=Four())
    lengths = [len(c.parameters["replay.weights"]) for c in grown.candidates if c.kind == "trial"]
    assert lengths == [3] * 6 + [4] * 3
    assert len({c.trained for c in grown.candidates}) == 1
    assert load_front(tmp_path / "probe").hypervolume == grown.hypervolume
