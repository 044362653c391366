"""The painting order: the least topological order by depth, and cycles cut where they are least."""

from __future__ import annotations

import numpy as np
import pytest

from drivereplay.domains.worlds.order import _sorted, highest, lowest


def by_hand(before: list[tuple[int, int]], key: list[float]) -> list[int]:
    """At each place the one with the least key of those that wait for nothing, or of all where there is none."""
    left, order = set(range(len(key))), []
    while left:
        free = [n for n in left if not any(b == n and a in left for a, b in before)]
        n = min(free or left, key=lambda n: (key[n], n))
        order.append(n)
        left.remove(n)
    return order


@pytest.mark.parametrize("seed", range(40))
def test_each_place_goes_to_the_least_key_that_is_free(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for against in (0.02, 0.2, 0.6):
        count = int(rng.integers(1, 14))
        key = rng.integers(0, 9, count).astype(float)
        pairs = [(a, b) for a in range(count) for b in range(a) if rng.uniform() < rng.choice([0.1, 0.5])]
        # most pairs agree with the keys, some do not, and some make cycles
        pairs = [(a, b) if (key[a] < key[b]) != (rng.uniform() < against) else (b, a) for a, b in pairs]
        first, second = (np.array(side, np.int64) for side in (zip(*pairs, strict=True) if pairs else ([], [])))
        assert _sorted(first, second, key).tolist() == by_hand(pairs, key.tolist())


def test_extremes_along_the_first_axis() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3, 5))
    np.testing.assert_array_equal(lowest(values), values.min(axis=0))
    np.testing.assert_array_equal(highest(values), values.max(axis=0))
