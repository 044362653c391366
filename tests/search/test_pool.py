"""Pools stay inside the space, hold sparse mixes, and features know that at ρ = 0 the mix does not matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.search.problems import experiment

from drivereplay.search.pool import Pool
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
    best = [pool.first(i) for i in range(3)]
    for setting in [*pool.draw(best)[::7], *(pool.near(best[0], s) for s in (0.01, 0.3, 1.0))]:
        weights = np.array(setting["replay.weights"])
        assert weights.sum() == pytest.approx(1.0) and np.count_nonzero(weights) <= 2
        assert 0 <= setting["replay.frequency"] <= 0.6
        assert 1e-5 <= setting["training.learning_rate"] <= 1e-3 * (1 + 1e-12)
        assert isinstance(setting["training.warmup"], int)
        again = space.values_of(pool.encode(setting))
        assert again["replay.weights"] == pytest.approx(setting["replay.weights"], abs=1e-9)


def test_mixes_of_all_sparsities_are_drawn() -> None:
    _, pool = made({"replay.weights": "simplex"})
    largest = np.array([max(pool.first(i)["replay.weights"]) for i in range(400)])
    assert (largest > 0.98).mean() > 0.1
    assert (largest < 0.6).mean() > 0.1


def test_at_frequency_zero_every_mix_looks_the_same() -> None:
    _, pool = made({"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"})
    a = pool.features({"replay.frequency": 0.0})
    b = pool.features({"replay.frequency": 0.0, "replay.weights": [1.0, 0.0, 0.0]})
    assert a == pytest.approx(b)
    assert a[1:] == pytest.approx([1.0, 0.0, 0.0, 0.0])
    # elsewhere the distance is Hellinger's: the squares of the shares sum to 1
    c = pool.features({"replay.frequency": 0.5, "replay.weights": [0.2, 0.3, 0.5]})
    assert (c[1:] ** 2).sum() == pytest.approx(1.0)
