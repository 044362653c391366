"""The parametrisation of mixes: exact, invertible, uniform, without a degenerate direction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from drivereplay.errors import SpecError
from drivereplay.search.simplex import Simplex

unit = st.floats(0.0, 1.0)


@given(st.integers(1, 8).flatmap(lambda k: st.tuples(st.just(k), st.lists(unit, min_size=k - 1, max_size=k - 1))))
def test_any_numbers_give_a_mix(case: tuple[int, list[float]]) -> None:
    size, units = case
    weights = Simplex.of(size).weights(units)
    assert len(weights) == size
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1.0)


@given(
    st.lists(st.floats(0.001, 1.0), min_size=2, max_size=8),
    st.sampled_from([0.3, 1.0, 4.0]),
)
def test_numbers_are_found_back(raw: list[float], concentration: float) -> None:
    simplex = Simplex.of(len(raw), concentration=concentration)
    weights = np.array(raw) / sum(raw)
    units = simplex.units(weights.tolist())
    assert units is not None
    # nearer to 1 than this, neighbouring doubles stand for weights further apart
    assume(max(units) < 1 - 1e-9)
    assert simplex.weights(units) == pytest.approx(weights.tolist(), abs=1e-6)


@pytest.mark.parametrize(("size", "concentration"), [(2, 1.0), (5, 1.0), (5, 0.3), (17, 1.0)])
def test_uniform_numbers_give_the_dirichlet_distribution(size: int, concentration: float) -> None:
    units = np.random.default_rng(0).random((4000, size - 1))
    simplex = Simplex.of(size, concentration=concentration)
    drawn = np.array([simplex.weights(row) for row in units])
    # each weight of Dirichlet(c, ..., c) is Beta(c, c·(K − 1)), whatever its place in the stick
    for k in (0, size // 2, size - 1):
        assert kstest(drawn[:, k], beta(concentration, concentration * (size - 1)).cdf).pvalue > 1e-3


def test_no_direction_of_the_cube_leaves_the_mix_unchanged() -> None:
    simplex, point = Simplex.of(6), np.full(5, 0.4)
    rows = [(np.array(simplex.weights(point + step)) - simplex.weights(point)) / 1e-6 for step in 1e-6 * np.eye(5)]
    assert np.linalg.matrix_rank(np.array(rows), tol=1e-3) == 5


def test_only_some_domains_get_weight() -> None:
    simplex = Simplex.of(6, most=2)
    assert len(simplex.names) == 6 + 1
    weights = simplex.weights([0.1, 0.9, 0.2, 0.8, 0.3, 0.0, 0.25])
    assert [w > 0 for w in weights] == [False, True, False, True, False, False]
    units = simplex.units(weights)
    assert units is not None
    assert simplex.weights(units) == pytest.approx(weights)
    assert simplex.units([0.4, 0.3, 0.3, 0, 0, 0]) is None


def test_corners_and_wrong_sizes() -> None:
    simplex = Simplex.of(3)
    for corner in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]):
        units = simplex.units(corner)
        assert units is not None
        assert simplex.weights(units) == pytest.approx(corner, abs=1e-9)
    assert simplex.units([0.5, 0.5]) is None
    assert simplex.units([0.0, 0.0, 0.0]) is None
    assert Simplex.of(1).weights([]) == (1.0,)
    for wrong in ({"concentration": 0.0}, {"most": 0}, {"most": 4}):
        with pytest.raises(SpecError):
            Simplex.of(3, **wrong)
