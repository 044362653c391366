"""What is searched, read from the experiment file; what cannot be searched is said clearly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial
from tests.search.problems import experiment

from drivereplay.data.plan import SamplingPlan
from drivereplay.errors import SpecError
from drivereplay.search.space import Space, value_of
from drivereplay.spec import parse_spec, with_values

EVERY_FORM = {
    "replay.frequency": {"uniform": [0.0, 0.6]},
    "replay.weights": "simplex",
    "training.learning_rate": {"loguniform": [1e-5, 1e-3]},
    "replay.layout": {"choice": ["interleaved", "periodic", "burst"]},
    "replay.burst": {"int": [1, 8], "when": {"replay.layout": "burst"}},
    "training.betas": {"choice": [[0.9, 0.95], [0.9, 0.999]]},
}


def suggestions(space: Space, count: int, seed: int = 0) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.suggest(study.ask()) for _ in range(count)]


def test_every_suggestion_is_a_valid_experiment_and_conditions_hold(tmp_path: Path) -> None:
    spec = experiment(tmp_path, space=EVERY_FORM)
    space = Space.of(spec)
    for values in suggestions(space, 40):
        trial = with_values(spec, values)
        assert sum(trial.replay.mix) == pytest.approx(1.0)
        assert ("replay.burst" in values) == (values["replay.layout"] == "burst")
        assert values["training.betas"] in ([0.9, 0.95], [0.9, 0.999])


@given(st.integers(0, 10_000))
def test_settings_are_found_back_as_parameters(seed: int) -> None:
    spec = experiment(Path("/nowhere"), space=EVERY_FORM)
    space = Space.of(spec)
    (values,) = suggestions(space, 1, seed)
    encoded = space.encode(values, spec)
    assert encoded is not None
    assert set(space.distributions(encoded)) == set(encoded)
    again = space.values_of(encoded)
    assert again.keys() == values.keys()
    assert again["replay.frequency"] == values["replay.frequency"]
    assert again["replay.weights"] == pytest.approx(values["replay.weights"], abs=1e-9)


def test_at_frequency_zero_the_mix_is_not_asked_for(tmp_path: Path) -> None:
    spec = experiment(tmp_path, space={"replay.weights": "simplex", "replay.frequency": {"choice": [0.0, 0.5]}})
    space = Space.of(spec)
    for values in suggestions(space, 20):
        assert ("replay.weights" in values) == (values["replay.frequency"] > 0)
    encoded = space.encode({"replay.frequency": 0.0, "replay.weights": [1, 0, 0]}, spec)
    # the middle stands for all mixes, so that a sampler that needs whole settings can use it
    assert encoded == {"replay.frequency": 0.0, "replay.weights.u1": 0.5, "replay.weights.u2": 0.5}
    assert space.values_of(encoded) == {"replay.frequency": 0.0}
    elsewhere = Space.of(experiment(tmp_path, space={"replay.weights": "simplex"}))
    assert elsewhere.encode({"replay.frequency": 0.0}, spec) is None  # not a setting of a search at ρ = 0.25
    # also where the frequency is fixed at 0; but a ramp from 0 does draw clips
    fixed = with_values(experiment(tmp_path, space={"replay.weights": "simplex"}), {"replay.frequency": 0.0})
    assert suggestions(Space.of(fixed), 1) == [{}]
    ramp = with_values(fixed, {"replay.frequency_end": 0.5})
    assert "replay.weights" in suggestions(Space.of(ramp), 1)[0]


def test_what_lies_outside_is_not_expressed(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    space = Space.of(spec)
    assert space.encode({"replay.frequency": 1.0}, spec) is None
    assert space.encode({"replay.frequency": 0.2, "replay.weights": [0.25] * 4}, spec) is None
    # a domain that was added later had no weight
    later = space.encode({"replay.frequency": 0.2, "replay.weights": [0.5, 0.5]}, spec)
    assert later is not None and space.values_of(later)["replay.weights"] == pytest.approx([0.5, 0.5, 0.0], abs=1e-9)
    # what a setting does not name has the experiment's own value
    equal = space.encode({}, spec)
    assert equal is not None and equal["replay.frequency"] == 0.25
    assert space.values_of(equal)["replay.weights"] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "search.space is empty"),
        ({"replay.frequency": {"uniform": [0.6, 0.0]}}, "reversed or equal"),
        ({"replay.frequency": {"uniform": [0.2, 0.2]}}, "reversed or equal"),
        ({"replay.frequency": {"uniform": [0.0, "a"]}}, r"two numbers \[low, high\]"),
        ({"replay.frequency": {"uniform": [0.0, float("inf")]}}, r"two numbers \[low, high\]"),
        ({"replay.frequency": {"uniform": [0.0, 1.5]}}, "replay.frequency: .*less than or equal to 1"),
        ({"training.learning_rate": {"loguniform": [0.0, 1.0]}}, "must be above 0"),
        ({"replay.burst": {"int": [1.5, 3]}}, "two whole numbers"),
        ({"replay.layout": {"choice": []}}, "expected a list of values"),
        ({"replay.layout": {"choice": ["interleaved", "sideways"]}}, "replay.layout"),
        ({"replay.layout": {"among": ["interleaved"]}}, "'among' is not understood"),
        ({"replay.layout": "interleaved"}, "'interleaved' is not understood"),
        ({"training.learning_rat": {"uniform": [0.1, 0.2]}}, "did you mean 'learning_rate'"),
        ({"training.steps": "simplex"}, "`simplex` is for replay.weights only"),
        ({"replay.weights": {"simplex": {"mots": 2}}}, "expected `concentration`, `most` and `least`"),
        ({"replay.weights": {"simplex": {"most": 9}}}, "between 1 and the 3 domains"),
        ({"replay.burst": {"int": [1, 3], "when": {"replay.layot": "burst"}}}, "did you mean 'layout'"),
        ({"replay.burst": {"int": [1, 3], "when": "burst"}}, "expected KEY: VALUE"),
        (
            {
                "replay.burst": {"int": [1, 3], "when": {"training.warmup": 1}},
                "training.warmup": {"int": [1, 3], "when": {"replay.burst": 1}},
            },
            "go in a circle",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused(tmp_path: Path, space: dict[str, Any], message: str) -> None:
    spec = experiment(tmp_path, space={"replay.frequency": {"uniform": [0, 1]}})
    spec = spec.model_copy(update={"search": spec.search.model_copy(update={"space": space})})
    with pytest.raises(SpecError, match=message):
        Space.of(spec)


def test_a_mix_needs_domains(tmp_path: Path) -> None:
    source = {"kind": "videos", "path": "/nowhere"}
    spec = parse_spec(
        {"name": "x", "target": {"name": "t", "source": source}, "search": {"space": {"replay.weights": "simplex"}}}
    )
    with pytest.raises(SpecError, match="no replay domains to weigh"):
        Space.of(spec)


def test_values_are_found_by_their_dotted_key(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    assert value_of(spec, "replay.weights") == pytest.approx([1 / 3] * 3)
    assert value_of(spec, "replay.domains.b.weight") == 1.0
    assert value_of(spec, "training.steps") == 30
    assert value_of(spec, "training.nothing") is None


def test_a_fixed_trial_reads_the_space_too(tmp_path: Path) -> None:
    space = Space.of(experiment(tmp_path))
    values = space.suggest(FixedTrial({"replay.frequency": 0.5, "replay.weights.u1": 1.0, "replay.weights.u2": 0.0}))
    assert values == {"replay.frequency": 0.5, "replay.weights": [1.0, 0.0, 0.0]}


def test_a_least_weight_holds_for_every_mix(tmp_path: Path) -> None:
    form = {"simplex": {"least": {"a": 0.2, "c": 0.1}}}
    spec = experiment(tmp_path, space={"replay.frequency": {"uniform": [0.1, 0.6]}, "replay.weights": form})
    space = Space.of(spec)
    rng = np.random.default_rng(0)
    for u1, u2 in rng.random((50, 2)):
        weights = space.values_of({"replay.frequency": 0.2, "replay.weights.u1": u1, "replay.weights.u2": u2})
        mix = np.array(weights["replay.weights"])
        assert mix.sum() == pytest.approx(1.0) and (mix >= np.array([0.2, 0.0, 0.1]) - 1e-12).all()
        back = space.encode(weights, spec)
        assert back is not None and (back["replay.weights.u1"], back["replay.weights.u2"]) == pytest.approx((u1, u2))
    assert space.encode({"replay.weights": [0.1, 0.5, 0.4]}, spec) is None
    for wrong, message in (({"d": 0.1}, "no replay domain d"), (0.4, "less than 1"), ("a", "expected a weight")):
        bad = with_values(spec, {"search.space": {"replay.weights": {"simplex": {"least": wrong}}}})
        with pytest.raises(SpecError, match=message):
            Space.of(bad)


def test_settings_that_train_the_same_run_have_one_identity(tmp_path: Path) -> None:
    spec = experiment(tmp_path)
    space = Space.of(spec)

    def identity(**values: Any) -> str:
        return space.identity({f"replay.{key}": value for key, value in values.items()}, spec)

    assert identity(frequency=0.0) == identity(frequency=0.0, weights=[0.2, 0.3, 0.5])
    assert identity(frequency=0.2, weights=[1, 1, 2]) == identity(frequency=0.2, weights=[0.25, 0.25, 0.5])
    assert identity(frequency=0.25, weights=[1 / 3] * 3) == identity()
    assert identity(frequency=0.2, weights=[1, 1, 0]) == identity(frequency=0.2, weights=[1, 1])
    assert identity(frequency=0.2) != identity(frequency=0.3)


@pytest.mark.parametrize("domains", [1, 3])
@pytest.mark.parametrize("layout", ["interleaved", "periodic", "burst"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.49, 1.5])
def test_a_frequency_too_small_for_any_replay_sample_is_the_naive_run(
    tmp_path: Path, domains: int, layout: str, share: float
) -> None:
    """What the sampling plan draws is the truth: one identity must not stand for two runs."""
    spec = experiment(tmp_path)
    spec = spec.model_copy(update={"replay": spec.replay.model_copy(update={"domains": spec.replay.domains[:domains]})})
    samples = spec.training.steps * spec.training.batch_size
    space = Space.of(with_values(spec, {"search.space": {"replay.frequency": {"uniform": [0.0, 0.6]}}}))
    values = {"replay.frequency": share / samples, "replay.layout": layout}
    drawn = SamplingPlan.of(with_values(spec, values), [50] * (domains + 1)).counts_before(spec.training.steps)
    same = space.identity(values, spec) == space.identity({**values, "replay.frequency": 0.0}, spec)
    assert same == (share < 0.5)
    assert not same or drawn[1:].sum() == 0
