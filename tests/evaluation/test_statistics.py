from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.evaluation.statistics import compare_means, compare_sets, mean_interval, resample, set_interval


def test_a_mean_has_its_interval_and_nan_clips_do_not_count() -> None:
    found = mean_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found.mean == 2.0 and found.n == 3 and found.low < 2 < found.high
    assert mean_interval(np.array([1.0, 2.0, 3.0])) == mean_interval(np.array([1.0, 2.0, 3.0]))


def test_too_few_clips_have_no_interval() -> None:
    assert mean_interval(np.array([])).n == 0
    one = mean_interval(np.array([5.0]))
    assert one.mean == 5.0 and np.isnan(one.low)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(-50, 50))
@settings(max_examples=25, deadline=None)
def test_an_interval_moves_with_the_values(values: list[float], shift: float) -> None:
    here, there = mean_interval(np.array(values)), mean_interval(np.array(values) + shift)
    assert there.low == pytest.approx(here.low + shift, abs=1e-6)
    assert here.low <= here.mean + 1e-9 and here.high >= here.mean - 1e-9


@pytest.mark.parametrize("clips", [16, 32, 64])
def test_intervals_cover_what_they_say(clips: int) -> None:
    """95 % intervals hold the truth in 92 to 97 % of simulated evaluations, of normal and of skewed clip figures."""
    rng = np.random.default_rng(clips)
    draws = {"normal": rng.normal(0, 1, (2000, clips)), "skewed": rng.gamma(4.0, 1.0, (2000, clips)) - 4.0}
    for name, cases in draws.items():
        inside = [e.low <= 0 <= e.high for e in (mean_interval(c, resamples=400, seed=n) for n, c in enumerate(cases))]
        assert 0.92 <= np.mean(inside) <= 0.97, name


def test_many_clips_of_few_videos_are_not_as_many_clips() -> None:
    """Of 8 videos with 8 clips each, half of the variance between videos: 400 simulated evaluations."""
    rng = np.random.default_rng(0)
    cases = (rng.normal(0, 1, (400, 8, 1)) + rng.normal(0, 1, (400, 8, 8))).reshape(400, 64)
    inside = [e.low <= 0 <= e.high for e in (mean_interval(c, resamples=400, seed=n) for n, c in enumerate(cases))]
    assert 0.58 <= np.mean(inside) <= 0.68, np.mean(inside)


def test_a_null_comparison_is_significant_one_time_in_twenty() -> None:
    """500 pairs of the same model with other sampling seeds: clip difficulty is shared, the noise is not."""
    rng = np.random.default_rng(7)
    difficulty = rng.gamma(2.0, 1.0, (500, 32))
    first, second = (difficulty + rng.normal(0, 0.3, difficulty.shape) for _ in range(2))
    pairs = enumerate(zip(first, second, strict=True))
    p = np.array([compare_means(a, b, resamples=100, seed=n).p for n, (a, b) in pairs])
    assert 0.025 <= (p < 0.05).mean() <= 0.075


def test_pairing_finds_what_is_small_beside_the_difficulty_of_clips() -> None:
    rng = np.random.default_rng(0)
    difficulty = rng.gamma(2.0, 5.0, 64)
    found = compare_means(difficulty + rng.normal(0.2, 0.1, 64), difficulty)
    assert found.p < 0.001 and found.estimate.low > 0 and found.effect > 1
    assert compare_means(difficulty, difficulty).p == 1.0


def test_set_figures_are_resampled_over_the_same_clips() -> None:
    values = np.random.default_rng(0).normal(size=20)
    a = resample(lambda chosen: float(values[chosen].mean()), 20, seed=3)
    b = resample(lambda chosen: float(values[chosen].mean() + 1), 20, seed=3)
    np.testing.assert_allclose(b - a, 1.0)
    point = float(values.mean())
    interval = set_interval(point, a, 20)
    assert interval.low < point < interval.high
    assert compare_sets(point + 1, point, b, a, 20).estimate.mean == pytest.approx(1.0)
    assert compare_sets(point, point, a, a, 20).p == 1.0
    assert np.isnan(set_interval(1.0, a, 1).low)
