"""The expected hypervolume improvement equals the mean of the improvement over many draws."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from scipy.stats import norm, qmc

from drivereplay.search.improvement import expected_improvement


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("points", [1, 6])
def test_it_equals_the_mean_over_draws(objectives: int, points: int) -> None:
    generator = np.random.default_rng(points + objectives)
    cloud = generator.random((points * 4, objectives))
    front = cloud[moocore.is_nondominated(cloud)][:points]
    reference = np.full(objectives, 1.1)
    means, deviations = generator.random((3, objectives)), generator.uniform(0.05, 0.4, (3, objectives))
    found = expected_improvement(means, deviations, front, reference)
    before = moocore.hypervolume(front, ref=reference)
    # Sobol points: their mean is near the integral by 1e-5 where as many random draws are by 1e-3
    normal = norm.ppf(qmc.Sobol(objectives, seed=0).random_base2(13))
    for mean, deviation, value in zip(means, deviations, found, strict=True):
        gains = [
            moocore.hypervolume(np.vstack([front, d]), ref=reference) - before if np.all(d < reference) else 0.0
            for d in mean + deviation * normal
        ]
        assert value == pytest.approx(np.mean(gains), abs=2e-5)


def test_without_doubt_it_is_the_improvement_itself() -> None:
    front, reference = np.array([[0.2, 0.8], [0.8, 0.2]]), np.array([1.0, 1.0])
    candidates = np.array([[0.5, 0.5], [0.9, 0.9], [0.1, 0.1], [0.2, 0.8]])
    found = expected_improvement(candidates, np.full((4, 2), 1e-9), front, reference)
    before = moocore.hypervolume(front, ref=reference)
    truth = [moocore.hypervolume(np.vstack([front, c]), ref=reference) - before for c in candidates]
    assert found == pytest.approx(truth, abs=1e-7)


@pytest.mark.parametrize("objectives", [2, 3])
def test_points_beyond_the_reference_change_nothing(objectives: int) -> None:
    generator = np.random.default_rng(objectives)
    reference = np.full(objectives, 1.1)
    means, deviations = generator.random((5, objectives)), generator.uniform(0.05, 0.4, (5, objectives))
    front = np.vstack([np.full(objectives, 0.5), np.eye(objectives) * 0.3 + 0.4])
    beyond = np.full((objectives, objectives), -0.2)
    np.fill_diagonal(beyond, [1.6, 1.1, 1.3][:objectives])
    found = expected_improvement(means, deviations, np.vstack([front, beyond]), reference)
    assert found == pytest.approx(expected_improvement(means, deviations, front, reference), abs=0)
    # with nothing inside, a candidate gains all that it dominates
    alone = expected_improvement(np.full((1, objectives), 0.1), np.full((1, objectives), 1e-9), beyond, reference)
    assert alone == pytest.approx([1.0])
