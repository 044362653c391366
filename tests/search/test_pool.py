"""Pools stay inside the space, hold sparse mixes, and features know that at ρ = 0 the mix does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.search.problems import experiment

from drivereplay.search.pool import SIZE, Pool, joined
from drivereplay.search.space import Space

SPACE: dict[str, Any] = {
    "replay.frequency": {"uniform": [0.0, 0.6]},
    "replay.weights": {"simplex": {"most": 2}},
    "training.learning_rate": {"loguniform": [1e-5, 1e-3]},
    "replay.layout": {"choice": ["interleaved", "periodic"]},
    "training.warmup": {"int": [0, 9]},
}


def made(space: dict[str, Any]) -> tuple[Space, Pool]:
    found = Space.of(experiment(Path("/nowhere"), space=space))
    return found, Pool(found, np.random.default_rng(0))


def test_everything_drawn_or_varied_lies_in_the_space() -> None:
    space, pool = made(SPACE)
    best = [pool.setting(pool.fresh(3), row) for row in range(3)]
    varied = pool.near(pool.columns(best), np.array([0.01, 0.3, 1.0]))
    drawn = joined(pool.draw(best), varied)
    for row in range(0, SIZE + 3, 7):
        setting = pool.setting(drawn, row)
        weights = np.array(setting["replay.weights"])
        assert weights.sum() == pytest.approx(1.0) and np.count_nonzero(weights) <= 2
        assert 0 <= setting["replay.frequency"] <= 0.6
        assert 1e-5 <= setting["training.learning_rate"] <= 1e-3 * (1 + 1e-12)
        assert isinstance(setting["training.warmup"], int)
        again = space.values_of(pool.encode(setting))
        if setting["replay.frequency"] > 0:  # otherwise there is no mix
            assert again["replay.weights"] == pytest.approx(setting["replay.weights"], abs=1e-9)


def test_mixes_of_all_sparsities_are_drawn() -> None:
    _, pool = made({"replay.weights": "simplex"})
    largest = pool.fresh(400)["replay.weights"].max(axis=1)
    assert (largest > 0.98).mean() > 0.1
    assert (largest < 0.6).mean() > 0.1


def test_at_frequency_zero_every_mix_looks_the_same() -> None:
    _, pool = made({"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"})
    a = features(pool, {"replay.frequency": 0.0})
    b = features(pool, {"replay.frequency": 0.0, "replay.weights": [1.0, 0.0, 0.0]})
    assert a == pytest.approx(b)
    assert a[1:] == pytest.approx([1.0, 0.0, 0.0, 0.0])
    # elsewhere the distance is Hellinger's: the squares of the shares sum to 1
    c = features(pool, {"replay.frequency": 0.5, "replay.weights": [0.2, 0.3, 0.5]})
    assert (c[1:] ** 2).sum() == pytest.approx(1.0)
    # ρ = 1 lies outside the space, and is seen all the same
    assert features(pool, {"replay.frequency": 1.0, "replay.weights": [0.0, 1.0, 0.0]})[1:] == pytest.approx(
        [0, 0, 1, 0]
    )
    assert pool.known_features({"replay.weights": [1.0, 0.0, 0.0]}) is None


def test_a_value_that_does_not_apply_is_not_seen() -> None:
    _, pool = made(
        {
            "replay.layout": {"choice": ["interleaved", "burst"]},
            "replay.burst": {"int": [1, 9], "when": {"replay.layout": "burst"}},
        }
    )
    columns = pool.columns([{"replay.layout": n, "replay.burst": b} for n in ("interleaved", "burst") for b in (1, 9)])
    seen = pool.features(columns)
    assert seen[0] == pytest.approx(seen[1]) and seen[2] != pytest.approx(seen[3])


def test_least_weights_hold_for_all_that_is_drawn() -> None:
    _, pool = made({"replay.weights": {"simplex": {"least": {"b": 0.3}}}})
    best = [pool.setting(pool.fresh(3), row) for row in range(3)]
    drawn = pool.draw(best)["replay.weights"]
    assert (drawn[:, 1] >= 0.3 - 1e-9).all() and drawn.sum(axis=1) == pytest.approx(1.0)


def features(pool: Pool, setting: dict[str, Any]) -> np.ndarray:
    found = pool.known_features(setting)
    assert found is not None
    return found
