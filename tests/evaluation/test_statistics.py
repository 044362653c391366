from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.evaluation.frechet import frechet_distance, polynomial_mmd
from drivereplay.evaluation.statistics import (
    blocks_of,
    compare_means,
    compare_sets,
    jackknife,
    mean_interval,
    set_interval,
)


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


@pytest.mark.parametrize("clips", [16, 64])
def test_intervals_cover_what_they_say(clips: int) -> None:
    """95 % intervals hold the truth in 92 to 97 % of simulated evaluations, of normal and of skewed clip figures."""
    rng = np.random.default_rng(clips)
    draws = {"normal": rng.normal(0, 1, (800, clips)), "skewed": rng.gamma(4.0, 1.0, (800, clips)) - 4.0}
    for name, cases in draws.items():
        inside = [e.low <= 0 <= e.high for e in (mean_interval(c, resamples=400, seed=n) for n, c in enumerate(cases))]
        assert 0.92 <= np.mean(inside) <= 0.975, name


def test_many_clips_of_few_videos_are_not_as_many_clips() -> None:
    """Of 8 videos with 8 clips each, half of the variance between videos: 400 simulated evaluations."""
    rng = np.random.default_rng(0)
    groups = [f"v{i // 8}" for i in range(64)]
    cases = (rng.normal(0, 1, (400, 8, 1)) + rng.normal(0, 1, (400, 8, 8))).reshape(400, 64)
    found = [mean_interval(case, groups, resamples=400, seed=n) for n, case in enumerate(cases)]
    assert np.mean([e.low <= 0 <= e.high for e in found]) >= 0.91
    null = [compare_means(case, np.zeros(64), groups, resamples=100, seed=n).p for n, case in enumerate(cases)]
    assert 0.02 <= (np.array(null) < 0.05).mean() <= 0.08


@pytest.mark.parametrize("lost", [0.05, 0.3])
@pytest.mark.parametrize("per_clip", [1, 4])
def test_a_penalty_that_no_clip_shows_is_inside_the_interval_all_the_same(lost: float, per_clip: int) -> None:
    """16 clips, of whose objects 5 % are lost: at one object a clip, 44 % of the evaluations see none."""
    rng = np.random.default_rng(5)
    truth = lost * 0.5 + (1 - lost) * 0.02
    hits, unaware = [], []
    for n in range(400):
        gone = rng.random((16, per_clip)) < lost
        clips = np.where(gone, 0.5, rng.gamma(4.0, 0.005, (16, per_clip))).mean(1)
        for found, bounds in ((hits, (0.0, 0.5)), (unaware, None)):
            e = mean_interval(clips, bounds=bounds, resamples=400, seed=n)
            found.append(e.low <= truth <= e.high)
    assert np.mean(hits) >= 0.9
    if (lost, per_clip) == (0.05, 1):
        assert np.mean(unaware) < 0.9


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


def _pairs(rng: np.random.Generator, n: int, d: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features of n clips: what the given frames fix is common to the real and the generated clip."""
    context = rng.normal(size=(n, d)) * np.sqrt(0.8)
    real, generated = (context + rng.normal(size=(n, d)) * np.sqrt(0.2) for _ in range(2))
    return real, generated + shift


def test_kvd_of_a_perfect_model_is_zero_on_average_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(6)
    points, hits = [], []
    for n in range(300):
        real, generated = _pairs(rng, 16, 8)
        point = polynomial_mmd(real, generated)
        pseudo = jackknife(lambda b, r=real, g=generated: polynomial_mmd(r[~b], g[~b]), point, ["x"] * 16, 256)
        e = set_interval(point, pseudo, None, resamples=400, seed=n)
        points.append(point)
        hits.append(e.low <= 0 <= e.high)
    assert abs(np.mean(points)) < 4 * np.std(points) / np.sqrt(300)
    assert np.mean(hits) >= 0.9


def test_kvd_s_interval_holds_the_distance_of_a_model_that_is_off() -> None:
    rng = np.random.default_rng(7)
    truth = np.mean([polynomial_mmd(*_pairs(rng, 400, 8, 0.5)) for _ in range(20)])
    hits = []
    for n in range(200):
        real, generated = _pairs(rng, 24, 8, 0.5)
        point = polynomial_mmd(real, generated)
        pseudo = jackknife(lambda b, r=real, g=generated: polynomial_mmd(r[~b], g[~b]), point, ["x"] * 24, 256)
        e = set_interval(point, pseudo, None, resamples=400, seed=n)
        hits.append(e.low <= truth <= e.high)
    assert np.mean(hits) >= 0.9


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_frechet_figures_are_extrapolated_to_endless_clips(shift: float) -> None:
    """Same covariance, means apart: the truth is d·shift²; at n = 3d the plain figure is far above it."""
    rng = np.random.default_rng(8)
    d, n = 12, 36
    plain, hits = [], []
    for trial in range(100):
        real, generated = _pairs(rng, n, d, shift)
        point = frechet_distance(real, generated)
        pseudo = jackknife(lambda b, r=real, g=generated: frechet_distance(r[~b], g[~b]), point, ["x"] * n, 256)
        e = mean_interval(pseudo, resamples=400, seed=trial)
        plain.append(e.low - e.mean + point <= d * shift**2)
        hits.append(e.low <= d * shift**2 <= e.high)
    assert np.mean(hits) >= 0.85
    assert np.mean(plain) < 0.5  # an interval round the plain figure misses


def test_pseudo_values_of_a_mean_are_the_values_and_blocks_keep_the_spread() -> None:
    values = np.random.default_rng(0).normal(size=60)

    def of(groups: list[str], most: int) -> np.ndarray:
        return jackknife(lambda b: float(values[~b].mean()), float(values.mean()), groups, most)

    np.testing.assert_allclose(of([str(i) for i in range(60)], 60), values)
    by_four = of([str(i // 4) for i in range(60)], 20)
    np.testing.assert_allclose(by_four, np.repeat(values.reshape(15, 4).mean(1), 4))
    many = np.random.default_rng(1).normal(size=3000)
    merged = jackknife(lambda b: float(many[~b].mean()), float(many.mean()), [str(i) for i in range(3000)], 100)
    assert len(set(merged)) == 100 and merged.std() == pytest.approx(many.std(), rel=0.2)
    assert blocks_of(["only"] * 100, 10)[0].max() == 9


def test_figures_of_sets_are_compared_in_pairs() -> None:
    values = np.random.default_rng(0).normal(size=20)
    found = compare_sets(1.2, 1.0, values + 0.2 + np.linspace(-0.1, 0.1, 20), values)
    assert found.estimate.mean == pytest.approx(0.2) and found.estimate.low > 0 and found.p < 0.01
    assert compare_sets(1.0, 1.0, values, values).p == 1.0
    assert np.isnan(set_interval(1.0, values[:1]).low)
