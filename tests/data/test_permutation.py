"""Keyed permutations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.data.permutation import permuted, unit_interval


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 3000), seed=st.integers(0, 2**40), domain=st.integers(0, 200), epoch=st.integers(0, 10**6))
def test_is_a_bijection_for_every_size_and_key(n: int, seed: int, domain: int, epoch: int) -> None:
    rows = (np.full(n, domain), np.full(n, epoch))
    values = permuted(np.arange(n), n, "clip", seed, rows=rows)
    assert np.array_equal(np.sort(values), np.arange(n))


def test_each_element_may_have_its_own_size_and_key() -> None:
    sizes = np.array([10] * 10 + [1000] * 10)
    epochs = np.array([3] * 10 + [7] * 10)
    positions = np.tile(np.arange(10), 2)
    mixed = permuted(positions, sizes, 0, rows=(epochs,))
    assert np.array_equal(mixed[:10], permuted(np.arange(10), 10, 0, rows=(np.full(10, 3),)))
    assert np.array_equal(mixed[10:], permuted(np.arange(10), 1000, 0, rows=(np.full(10, 7),)))


def test_epochs_seeds_and_domains_give_other_orders() -> None:
    n = 500
    base = permuted(np.arange(n), n, 0, rows=(np.zeros(n, int), np.zeros(n, int)))
    for seed, domain, epoch in [(1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        other = permuted(np.arange(n), n, seed, rows=(np.full(n, domain), np.full(n, epoch)))
        assert (other == base).mean() < 0.05


def test_places_are_uniform() -> None:
    # where the first element goes, over many keys: chi-squared with 9 degrees of freedom, 99.99 % below 33.7
    places = permuted(np.zeros(5000, int), 10, 0, rows=(np.arange(5000),))
    counts = np.bincount(places, minlength=10)
    assert ((counts - 500) ** 2 / 500).sum() < 33.7


def test_neighbours_do_not_stay_neighbours() -> None:
    values = permuted(np.arange(10_000), 10_000, 0)
    assert (np.abs(np.diff(values)) == 1).mean() < 0.002


@pytest.mark.parametrize("n", [10**9, 2**61 + 1])
def test_huge_sets_need_no_memory(n: int) -> None:
    values = permuted(np.arange(n - 1000, n), n, 5)
    assert len(np.unique(values)) == 1000
    assert values.min() >= 0 and values.max() < n


def test_unit_interval_is_stable() -> None:
    assert unit_interval("a", 1) == unit_interval("a", 1) != unit_interval("a", 2)
    numbers = [unit_interval("x", n) for n in range(2000)]
    assert min(numbers) >= 0 and max(numbers) < 1
    assert abs(np.mean(numbers) - 0.5) < 0.03
