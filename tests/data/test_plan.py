"""The sampling plan: exact shares, epochs, ranks, resume, layouts, ramps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.conftest import plan_spec

from drivereplay.data.plan import SamplingPlan, StepPlan, concatenated
from drivereplay.errors import DataError, SpecError
from drivereplay.spec import Spec

RELAXED = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def in_sample_order(plan: SamplingPlan, steps: int) -> StepPlan:
    rows = concatenated([plan.step(k) for k in range(steps)])
    return rows.taken(np.argsort(rows.sample))


def drift(plan: SamplingPlan, steps: int) -> np.ndarray:
    """(n, D): count − n·w after every sample, w as it held at each sample's step."""
    rows = in_sample_order(plan, steps)
    taken = rows.domain[:, None] == np.arange(plan.domains)
    due = np.repeat([plan.weights_at(k) for k in range(steps)], plan.batch_size, axis=0)
    return taken.cumsum(0) - due.cumsum(0)


def bound(plan: SamplingPlan) -> float:
    return 1 - 1 / max(1, 2 * plan.domains - 2) + 1e-9


@RELAXED
@given(
    frequency=st.floats(0, 1),
    weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_shares_are_exact_at_every_sample(frequency: float, weights: list[float], seed: int) -> None:
    spec = plan_spec(len(weights), seed=seed, replay={"frequency": frequency, "weights": weights})
    plan = SamplingPlan.of(spec, [50] * (len(weights) + 1))
    assert np.abs(drift(plan, 40)).max() <= bound(plan)
    assert sum(plan.weights) == pytest.approx(1)
    assert plan.weights[0] == pytest.approx(1 - frequency)


@RELAXED
@given(
    start=st.floats(0, 1),
    end=st.floats(0, 1),
    w=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    w_end=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    steps=st.integers(1, 60),
)
def test_ramps_are_exact_at_every_sample(
    start: float, end: float, w: list[float], w_end: list[float], steps: int
) -> None:
    replay = {"frequency": start, "frequency_end": end, "weights": w, "weights_end": w_end}
    plan = SamplingPlan.of(plan_spec(3, replay=replay, training={"steps": steps}), [10] * 4)
    assert np.abs(drift(plan, steps + 5)).max() <= bound(plan)
    assert plan.weights_at(0)[0] == pytest.approx(1 - start)
    if steps > 1:
        assert plan.weights_at(steps - 1)[0] == pytest.approx(1 - end)


def test_a_long_ramp_moves_in_a_bounded_number_of_pieces() -> None:
    replay = {"frequency": 0.1, "frequency_end": 0.9}
    plan = SamplingPlan.of(plan_spec(2, replay=replay, training={"steps": 5000}), [10] * 3)
    shares = {plan.weights_at(k) for k in range(5000)}
    assert 500 < len(shares) <= 1000
    assert plan.step(4999).domain.astype(bool).sum() >= 7


@RELAXED
@given(counts=st.lists(st.integers(1, 40), min_size=3, max_size=3), seed=st.integers(0, 99))
def test_each_clip_is_used_once_in_each_epoch(counts: list[int], seed: int) -> None:
    plan = SamplingPlan.of(plan_spec(2, seed=seed, replay={"frequency": 0.6}), counts)
    rows = in_sample_order(plan, 30)
    for domain, count in enumerate(counts):
        mine = rows.taken(np.flatnonzero(rows.domain == domain))
        assert np.array_equal(mine.epoch, np.arange(len(mine)) // count)
        for epoch in range(len(mine) // count):
            assert np.array_equal(np.sort(mine.clip[mine.epoch == epoch]), np.arange(count))


@pytest.mark.parametrize("layout", ["interleaved", "periodic", "burst"])
@pytest.mark.parametrize("frequency", [0.0, 0.25, 0.3141592653589793, 1.0])
@pytest.mark.parametrize("domains", [1, 3])
@pytest.mark.parametrize("batch", [12, 16])
def test_every_rank_has_its_due_in_every_step(layout: str, frequency: float, domains: int, batch: int) -> None:
    replay = {"frequency": frequency, "layout": layout, "burst": 3}
    plan = SamplingPlan.of(plan_spec(domains, replay=replay, training={"batch_size": batch}), [30] * (domains + 1))
    for step in range(50):
        rows = plan.step(step)
        whole = np.bincount(rows.domain, minlength=domains + 1)
        for world_size in (n for n in range(1, batch + 1) if batch % n == 0):
            slots = [plan.rank_slots(step, rank, world_size) for rank in range(world_size)]
            counts = np.stack([np.bincount(rows.domain[mine], minlength=domains + 1) for mine in slots])
            assert np.abs(counts - whole / world_size).max() < 1
            assert np.array_equal(np.sort(np.concatenate(slots)), np.arange(batch))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_rows_of_a_rank_are_its_slots_of_the_whole(world_size: int) -> None:
    plan = SamplingPlan.of(plan_spec(2), [9, 9, 9])
    for rank in range(world_size):
        together = plan.rows(3, 9, rank, world_size)
        apart = [plan.step(k).taken(plan.rank_slots(k, rank, world_size)) for k in range(3, 9)]
        for name in ("sample", "slot", "domain", "clip", "epoch"):
            assert np.array_equal(getattr(together, name), getattr(concatenated(apart), name))
            assert np.array_equal(getattr(plan.rank_step(5, rank, world_size), name), getattr(apart[2], name))


@pytest.mark.parametrize("frequency", [0.25, 0.5, 0.4375, 0.3141592653589793, 0.01])
def test_with_one_replay_domain_no_rank_is_ever_ahead_by_more_than_one(frequency: float) -> None:
    spec = plan_spec(1, replay={"frequency": frequency}, training={"batch_size": 16})
    plan = SamplingPlan.of(spec, [100, 100])
    for world_size in (2, 4, 16):
        totals = np.zeros(world_size)
        for step in range(300):
            rows = plan.step(step)
            totals += np.bincount(rows.slot[rows.domain == 1] % world_size, minlength=world_size)
            assert totals.max() - totals.min() <= 1


@pytest.mark.parametrize(("frequency", "weights"), [(0.5, [1, 1]), (0.37, [0.61, 0.3, 0.05, 0.04])])
def test_with_more_domains_no_rank_drifts_away(frequency: float, weights: list[float]) -> None:
    # street and objects in turn, two of each batch of four: dealt in order, rank 0 would get all of one of them
    domains = len(weights)
    replay = {"frequency": frequency, "weights": weights}
    plan = SamplingPlan.of(plan_spec(domains, replay=replay, training={"batch_size": 8}), [10] * (domains + 1))
    slots = np.stack([plan.step(step).domain for step in range(1000)])
    for world_size in (2, 4, 8):
        for domain in range(domains + 1):
            hit = (slots == domain).reshape(1000, -1, world_size).sum(axis=1)
            assert np.abs(np.cumsum(hit - hit.sum(axis=1, keepdims=True) / world_size, axis=0)).max() <= 2


@RELAXED
@given(first=st.integers(0, 400), layout=st.sampled_from(["interleaved", "periodic", "burst"]))
def test_a_resume_at_any_step_gives_the_same_rows(first: int, layout: str) -> None:
    replay = {"frequency": 0.37, "layout": layout, "burst": 2, "frequency_end": 0.7}
    spec = plan_spec(3, replay=replay, training={"steps": 400})
    going = SamplingPlan.of(spec, [9, 8, 7, 6])
    for step in range(max(0, first - 20), first + 3):
        before = going.step(step)
    resumed = SamplingPlan.of(spec, [9, 8, 7, 6]).step(first + 2)
    for name in ("sample", "slot", "domain", "clip", "epoch"):
        assert np.array_equal(getattr(before, name), getattr(resumed, name))


def test_periodic_steps_are_all_target_or_all_replay() -> None:
    plan = SamplingPlan.of(plan_spec(3, replay={"frequency": 0.25, "layout": "periodic"}), [50] * 4)
    kinds = [set((plan.step(k).domain > 0).tolist()) for k in range(40)]
    assert all(len(kind) == 1 for kind in kinds)
    replayed = [k for k, kind in enumerate(kinds) if True in kind]
    assert len(replayed) == 10
    assert set(np.diff(replayed)) == {4}
    rows = in_sample_order(plan, 40)
    mine = rows.domain[rows.domain > 0]
    due = np.arange(1, len(mine) + 1)[:, None] * np.array([1, 2, 3]) / 6
    assert np.abs((mine[:, None] == np.arange(1, 4)).cumsum(0) - due).max() <= 1 - 1 / 4 + 1e-9


def test_bursts_are_runs_of_replay() -> None:
    plan = SamplingPlan.of(plan_spec(2, replay={"frequency": 0.5, "layout": "burst", "burst": 5}), [50] * 3)
    kinds = [bool(plan.step(k).domain[0]) for k in range(100)]
    assert sum(kinds) == 50
    for group in range(20):
        assert len(set(kinds[5 * group : 5 * group + 5])) == 1


@pytest.mark.parametrize(("frequency", "domains"), [(0.0, {0}), (1.0, {1, 2, 3})])
def test_extremes_are_ordinary(frequency: float, domains: set[int]) -> None:
    for layout in ("interleaved", "periodic", "burst"):
        plan = SamplingPlan.of(plan_spec(3, replay={"frequency": frequency, "layout": layout}), [5] * 4)
        assert set(concatenated([plan.step(k) for k in range(10)]).domain.tolist()) == domains


def test_without_replay_domains() -> None:
    plan = SamplingPlan.of(plan_spec(0), [7])
    assert plan.weights == (1.0,)
    assert set(plan.step(3).domain.tolist()) == {0}


def test_seed_moves_clips_but_not_shares() -> None:
    plans = [SamplingPlan.of(plan_spec(2, seed=seed), [50] * 3) for seed in (0, 1)]
    rows = [in_sample_order(plan, 20) for plan in plans]
    assert np.array_equal(rows[0].domain, rows[1].domain)
    assert (rows[0].clip != rows[1].clip).mean() > 0.8


def test_new_weights_hold_from_their_step_on_and_clips_go_on_where_they_were() -> None:
    plan = SamplingPlan.of(plan_spec(2, replay={"frequency": 0.5, "weights": [1, 1]}), [20, 13, 17])
    changed = plan.with_mix(10, [3, 1]).with_mix(25, [0, 1])
    for step in range(10):
        assert np.array_equal(changed.step(step).clip, plan.step(step).clip)
    rows = [in_sample_order(changed, k) for k in (10, 25, 40)]
    counts = [np.bincount(r.domain, minlength=3) for r in rows]
    assert np.abs(counts[1] - counts[0] - 15 * 8 * np.array([0.5, 0.375, 0.125])).max() < 1
    assert np.array_equal((counts[2] - counts[1])[1:], [0, 60])
    for domain, count in enumerate((20, 13, 17)):
        mine = rows[2].taken(np.flatnonzero(rows[2].domain == domain))
        assert np.array_equal(mine.epoch, np.arange(len(mine)) // count)
    assert np.array_equal(changed.counts_before(25), counts[1])
    # a resume re-makes the plan from the same changes
    again = SamplingPlan.of(plan_spec(2, replay={"frequency": 0.5, "weights": [1, 1]}), [20, 13, 17])
    again = again.with_mix(10, [3, 1]).with_mix(25, [0, 1])
    assert np.array_equal(again.step(33).clip, changed.step(33).clip)


@pytest.mark.parametrize("mix", [[1], [0, 0], [-1, 2], [1, 2, 3]])
def test_unfit_weights_are_refused(mix: list[float]) -> None:
    with pytest.raises(SpecError, match="Weights"):
        SamplingPlan.of(plan_spec(2), [5] * 3).with_mix(3, mix)


def test_weights_cannot_change_before_an_earlier_change() -> None:
    with pytest.raises(SpecError, match="before that"):
        SamplingPlan.of(plan_spec(2), [5] * 3).with_mix(10, [1, 1]).with_mix(9, [1, 1])


@pytest.mark.parametrize(("rank", "world_size"), [(0, 3), (2, 2), (-1, 2), (0, 0)])
def test_ranks_that_do_not_exist_are_refused(rank: int, world_size: int) -> None:
    with pytest.raises(SpecError):
        SamplingPlan.of(plan_spec(1), [5, 5]).rank_slots(0, rank, world_size)


def test_a_domain_without_clips_matters_only_if_it_is_drawn_from() -> None:
    with pytest.raises(DataError, match="'d1' has no training clip"):
        SamplingPlan.of(plan_spec(2), [5, 5, 0])
    assert SamplingPlan.of(plan_spec(2, replay={"weights": [1, 0]}), [5, 5, 0]).step(0)
    with pytest.raises(SpecError, match="2 clip counts for 3 domains"):
        SamplingPlan.of(plan_spec(2), [5, 5])


def test_size_does_not_matter() -> None:
    """A hundred domains of a billion clips, a thousand ranks: memory stays small and any step is reached."""
    import tracemalloc

    spec: Spec = plan_spec(99, replay={"frequency": 0.37}, training={"batch_size": 1024, "steps": 10**6})
    tracemalloc.start()
    plan = SamplingPlan.of(spec, [10**9] * 100)
    rows: list[Any] = [plan.step(k) for k in (0, 1, 999_999)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert rows[2].sample.max() == 1024 * 10**6 - 1
    counts = plan.counts_before(10**6)
    assert np.abs(counts / counts.sum() - np.array(plan.weights)).max() < 1e-6
    assert len(plan.rank_step(999_999, 1023, 1024)) == 1
