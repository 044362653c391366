"""Tijdeman's assignment: the bound at every prefix, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.data.chairman import Chairman, Piece, integer_weights


def assert_within_bound(chairman: Chairman, samples: int) -> None:
    """|count − Λ| ≤ 1 − 1/(2D − 2) for all domains at all prefixes, with integers only."""
    domain = chairman.domain(0, samples)
    counts = [0] * chairman.domains
    m = 2 * chairman.domains - 2
    for n, i in enumerate(domain.tolist(), start=1):
        counts[i] += 1
        expected, q = chairman.cumulative(n)
        for count, due in zip(counts, expected, strict=True):
            assert abs(count * q - due) * m <= (m - 1) * q, (n, counts)
    assert counts == chairman.counts(samples).tolist()


weights = st.lists(st.integers(0, 1000), min_size=2, max_size=7).filter(lambda w: sum(w) > 0)


@settings(max_examples=60, deadline=None)
@given(weights)
def test_constant_weights(numbers: list[int]) -> None:
    assert_within_bound(Chairman(lambda k: (None, tuple(numbers))), 600)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=5))
def test_weights_that_are_no_small_fractions(numbers: list[float]) -> None:
    exact = [Fraction(repr(x)) for x in numbers]
    (row,) = integer_weights([[x / sum(exact) for x in exact]], 1 << 60)
    assert_within_bound(Chairman(lambda k: (None, row)), 400)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 5))
def test_weights_that_change(data: st.DataObject, domains: int) -> None:
    # rows of one sum: shares of 120
    row = st.lists(st.integers(0, 120), min_size=domains - 1, max_size=domains - 1).map(
        lambda cuts: tuple(int(x) for x in np.diff([0, *sorted(cuts), 120]))
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=6))
    lengths = data.draw(st.lists(st.integers(0, 60), min_size=len(rows), max_size=len(rows)))

    def piece(k: int) -> Piece:
        return (lengths[k], rows[k]) if k < len(rows) - 1 else (None, rows[-1])

    assert_within_bound(Chairman(piece), 300)


def test_the_largest_deficit_rule_would_break_the_bound() -> None:
    # the reason for this module: what one would write first is outside the bound, this is not
    shares = [0.3] + [0.7 / 9] * 9
    counts = np.zeros(10)
    worst = 0.0
    for n in range(1, 200):
        counts[int(np.argmax(n * np.array(shares) - counts))] += 1
        worst = max(worst, np.abs(n * np.array(shares) - counts).max())
    assert worst > 1 - 1 / 18 - 0.2
    numbers = (270, *[70] * 9)
    assert_within_bound(Chairman(lambda k: (None, numbers)), 200)


@pytest.mark.parametrize("q", [(1, 3, 4), (10**17 + 1, 3 * 10**16, 5)])
def test_random_access_agrees_with_counting_from_the_start(q: tuple[int, ...]) -> None:
    forward = Chairman(lambda k: (None, q)).domain(0, 20_000)
    for first in (19_990, 4096, 4095, 12_345, 0):
        jumped = Chairman(lambda k: (None, q))
        assert np.array_equal(jumped.domain(first, first + 10), forward[first : first + 10])
        assert np.array_equal(jumped.counts(first), np.bincount(forward[:first], minlength=3))


def test_short_periods_are_found_at_once() -> None:
    chairman = Chairman(lambda k: (None, (1, 3)))
    assert chairman.counts(10**15 + 1).sum() == 10**15 + 1
    assert np.array_equal(chairman.domain(10**15, 10**15 + 8), chairman.domain(0, 8))


def test_zero_weight_is_never_taken() -> None:
    assert 1 not in Chairman(lambda k: (None, (5, 0, 2))).domain(0, 1000)


def test_rounding_keeps_sum_and_positive_weights() -> None:
    row = [Fraction(1, 3), Fraction(1, 10**9), Fraction(2, 3) - Fraction(1, 10**9)]
    (rounded,) = integer_weights([row], 1 << 10)
    assert sum(rounded) == 1 << 10
    assert rounded[1] == 1
    assert abs(rounded[0] / 1024 - 1 / 3) < 2 / 1024
