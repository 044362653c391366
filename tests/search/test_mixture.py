"""The sampler for mixes finds a front in a corner that uniform draws hardly ever meet."""

from __future__ import annotations

from pathlib import Path

import moocore
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay.search.mixture import CURVE, MOST_FITTED, Knowledge, MixtureSampler, _representative
from drivereplay.search.samplers import make_sampler
from drivereplay.search.space import Space
from drivereplay.spec import Spec, parse_spec

DOMAINS = 10


def corner() -> Spec:
    source = {"kind": "videos", "path": "/nowhere"}
    return parse_spec(
        {
            "name": "corner",
            "target": {"name": "driving", "source": source},
            "replay": {"frequency": 1.0, "domains": [{"name": f"d{i}", "source": source} for i in range(DOMAINS)]},
            "search": {"objectives": ["a.a", "b.b"], "space": {"replay.weights": "simplex"}, "trials": 40},
        }
    )


def losses(weights: list[float]) -> list[float]:
    """Two domains matter, each for one loss, with decreasing returns."""
    w = np.array(weights)
    return [float(np.exp(-4 * w[2]) + 0.1 * w[5]), float(np.exp(-4 * w[7]) + 0.1 * w[0])]


def volume(sampler: str, seed: int, trials: int = 28) -> float:
    spec = corner().model_copy(update={"search": corner().search.model_copy(update={"sampler": sampler})})
    space = Space.of(spec)
    study = optuna.create_study(directions=["minimize", "minimize"])
    seen = []
    for number in range(trials):
        study.sampler = make_sampler(spec.search, seed * 1000 + number, space, number)
        trial = study.ask()
        seen.append(losses(space.suggest(trial)["replay.weights"]))
        study.tell(trial, seen[-1])
    return float(moocore.hypervolume(np.array(seen), ref=[1.1, 1.1]))


def test_it_beats_random_by_far_at_equal_trials() -> None:
    whole = moocore.hypervolume(
        np.array([losses([0, 0, a, 0, 0, 0, 0, 1 - a, 0, 0]) for a in np.linspace(0, 1, 200)]), ref=[1.1, 1.1]
    )
    ours = 1 - volume("mixture", 0) / whole
    random = np.median([1 - volume("random", seed) / whole for seed in range(9)])
    assert ours < 0.4 * random


def test_trials_that_were_stopped_teach_by_their_curves(tmp_path: Path) -> None:
    spec = experiment(tmp_path, trials=16)
    space = Space.of(spec)
    study = optuna.create_study(directions=["minimize", "minimize"])
    for number in range(12):
        study.sampler = MixtureSampler(space, number, 4)
        trial = study.ask()
        rho = space.suggest(trial)["replay.frequency"]
        trial.set_user_attr(CURVE, [[0.3, 2.0 + rho, 2.0 - rho], [1.0, 1.0 + rho, 1.0 - rho]][: 1 + (number % 3 == 0)])
        if number % 3 == 0:
            study.tell(trial, [1.0 + rho, 1.0 - rho])
        else:
            study.tell(trial, state=TrialState.PRUNED)
    study.sampler = MixtureSampler(space, 99, 4)
    assert 0 <= space.suggest(study.ask())["replay.frequency"] <= 0.6


def test_many_trials_are_represented_by_the_best_and_a_spread_of_the_rest() -> None:
    costs = np.random.default_rng(0).random((1000, 2))
    kept = _representative(costs)
    assert len(kept) == len(set(kept.tolist())) == MOST_FITTED
    assert set(np.flatnonzero(moocore.is_nondominated(costs))) <= set(kept.tolist())
    assert _representative(costs[:5]).tolist() == [0, 1, 2, 3, 4]


def test_the_same_seed_gives_the_same_suggestion() -> None:
    assert volume("mixture", 3, trials=14) == pytest.approx(volume("mixture", 3, trials=14), abs=0)


def test_settings_that_break_a_constraint_are_left_alone_once_they_are_known(tmp_path: Path) -> None:
    """`gp` models constraints as well: what it reaches is what is asked for here, on a constraint that half breaks."""
    violating = {}
    for sampler in ("random", "mixture"):
        spec = experiment(
            tmp_path / sampler, trials=18, concurrent=1, sampler=sampler, constraints={"loss.motion": 0.0}
        )
        front = sweep_locally(spec, runner=Analytic())
        base = next(c for c in front.candidates if c.kind == "base").metrics["loss.motion"].mean
        late = [c.metrics["loss.motion"].mean > base for c in front.candidates if c.kind == "trial"][8:]
        violating[sampler] = sum(late) / len(late)
    assert violating["random"] >= 0.4
    assert violating["mixture"] <= 0.1


def test_the_reported_reference_point_decides_where_it_looks() -> None:
    """Beyond the reference point nothing counts: with a near one the sampler stays away from that end of the front."""
    space = Space.of(experiment(Path("/nowhere"), space={"replay.frequency": {"uniform": [0.0, 1.0]}}))
    study = optuna.create_study(directions=["minimize", "minimize"])
    for rho in np.linspace(0.05, 0.95, 7):
        study.add_trial(
            optuna.trial.create_trial(
                params={"replay.frequency": float(rho)}, distributions=space.distributions(),
                values=[float(rho), float(1 - rho)],
            )
        )  # fmt: skip
    asked = []
    for seed in range(6):
        study.sampler = MixtureSampler(space, seed, knowledge=Knowledge(reference=(0.4, 2.0), running=[]))
        asked.append(space.suggest(study.ask())["replay.frequency"])
    assert max(asked) <= 0.45


def test_no_setting_is_proposed_again() -> None:
    space = Space.of(experiment(Path("/nowhere"), space={"replay.frequency": {"choice": [0.1, 0.3, 0.5, 0.6]}}))
    study = optuna.create_study(directions=["minimize", "minimize"])
    for rho in (0.1, 0.3, 0.6):
        study.add_trial(
            optuna.trial.create_trial(
                params={"replay.frequency": rho}, distributions=space.distributions(), values=[rho, 1 - rho]
            )
        )
    for seed in range(4):
        study.sampler = MixtureSampler(space, seed, startup=2, knowledge=Knowledge(running=[]))
        assert space.suggest(study.ask())["replay.frequency"] == 0.5
