from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from drivereplay.evaluation.frechet import frechet_distance, polynomial_mmd


@pytest.mark.parametrize(("n", "d"), [(200, 20), (40, 40), (20, 50)])
def test_the_distance_is_scipy_s(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, d)), rng.normal(0.3, 1.4, size=(n + 7, d))
    first, second = np.cov(a.T), np.cov(b.T)
    square = ((a.mean(0) - b.mean(0)) ** 2).sum()
    expected = square + np.trace(first + second - 2 * np.real(sqrtm(first @ second)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_known_answers() -> None:
    a = np.random.default_rng(0).normal(size=(50, 6))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 2) == pytest.approx(24.0)
    # one dimension, standard deviations 1 and 3 of the same values: (3 − 1)²·var
    line = a[:, :1]
    assert frechet_distance(line - line.mean(), 3 * (line - line.mean())) == pytest.approx(4 * line.var(ddof=1))


def test_mmd_is_unbiased_and_sees_a_shift() -> None:
    rng = np.random.default_rng(1)
    null = [polynomial_mmd(*rng.normal(size=(2, 30, 8))) for _ in range(300)]
    assert abs(np.mean(null)) < 3 * np.std(null) / np.sqrt(300)
    a, b = rng.normal(size=(2, 30, 8))
    assert polynomial_mmd(a, b + 1) > 5 * np.std(null)
    by_hand = np.mean([(x @ y / 8 + 1) ** 3 for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    by_hand += np.mean([(x @ y / 8 + 1) ** 3 for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    by_hand -= 2 * np.mean([(x @ y / 8 + 1) ** 3 for i, x in enumerate(a) for j, y in enumerate(b) if i != j])
    assert polynomial_mmd(a, b) == pytest.approx(by_hand)


def test_one_feature_has_no_covariance() -> None:
    for figure in (frechet_distance, polynomial_mmd):
        with pytest.raises(ValueError, match="at least two"):
            figure(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="pairs"):
        polynomial_mmd(np.zeros((5, 3)), np.zeros((4, 3)))
