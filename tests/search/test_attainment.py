"""What most seeds, or most bootstrap draws, reach."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivereplay.evaluation.report import Estimate
from drivereplay.search.attainment import attainment, bootstrap_attainment
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front, front_of, signs

NAMES = ("loss.looks", "loss.motion")


def row(trial: str, looks: float, motion: float, half: float = 0.0, seed: int = 0) -> Candidate:
    metrics = {n: Estimate(v, v - half, v + half, 1) for n, v in zip(NAMES, (looks, motion), strict=True)}
    name = trial if seed == 0 else f"{trial}-s{seed}"
    return Candidate(name, 10, seed, "trial", {}, metrics, protocol="p", status="finished", setting=trial)


def front(rows: list[Candidate], ways: tuple[str, str] = ("min", "min")) -> Front:
    return front_of(rows, NAMES, ways)


def reached(surface: np.ndarray, costs: np.ndarray) -> bool:
    """Whether a set of costs reaches every point of a surface of costs."""
    return all(bool(np.any(np.all(costs <= point + 1e-9, axis=1))) for point in surface)


def test_the_median_attainment_surface_lies_between_the_fronts() -> None:
    fronts = [front([row("a", 1.0 + s, 3.0 + s), row("b", 3.0 + s, 1.0 + s)]) for s in (0.0, 0.5, 1.0)]
    assert attainment(fronts).tolist() == [[1.5, 3.5], [3.5, 1.5]]
    assert attainment(fronts, 1.0).tolist() == [[2.0, 4.0], [4.0, 2.0]]
    assert attainment(fronts, 1 / 3).tolist() == [[1.0, 3.0], [3.0, 1.0]]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_that_share_of_the_fronts_reaches_each_point_and_no_larger_corner(seed: int, count: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    ways = ("max", "min")
    fronts = [front([row(f"t{i}", *generator.random(2)) for i in range(6)], ways) for _ in range(count)]
    sign = signs(ways)
    needed = math.ceil(share * count - 1e-9)
    sets = [f.points * sign for f in fronts]
    for point in attainment(fronts, share) * sign:
        assert sum(reached(point[None], costs) for costs in sets) >= needed
        # nothing a little better in both is reached by as many
        assert sum(reached(point[None] - 1e-6, costs) for costs in sets) < needed


def test_surfaces_over_draws_get_worse_with_the_share_and_wider_with_the_intervals() -> None:
    def gaps(half: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = front([row("a", 5.0, 3.0, half), row("b", 3.0, 1.0, half)], ("max", "min"))
        quarter, median, most = bootstrap_attainment(found)
        sign = signs(("max", "min"))
        assert reached(median * sign, quarter * sign) and reached(most * sign, median * sign)
        assert not reached(quarter * sign, median * sign) and not reached(median * sign, most * sign)
        return quarter, median, most

    narrow, wide = gaps(0.1), gaps(0.4)
    assert np.ptp([s[0, 0] for s in wide]) == pytest.approx(4 * np.ptp([s[0, 0] for s in narrow]), rel=0.2)
    # with the best of each objective the median is what was measured
    assert narrow[1][0, 0] == pytest.approx(5.0, abs=0.02) and narrow[1][-1, 1] == pytest.approx(1.0, abs=0.02)
    assert [s.tolist() for s in gaps(0.1)] == [s.tolist() for s in narrow]


def test_seeds_that_disagree_widen_the_band_even_where_clips_say_nothing() -> None:
    apart = front([row("a", 1.0, 2.0), row("a", 2.0, 1.0, seed=1)])
    assert apart.seeds == (2,)
    quarter, _, most = bootstrap_attainment(apart)
    assert quarter[0, 0] < most[0, 0]


def test_without_intervals_or_candidates_there_is_no_surface() -> None:
    assert bootstrap_attainment(front([row("a", 1.0, 2.0), row("b", 2.0, 1.0)])) == []
    assert bootstrap_attainment(front([])) == []
