"""Adaptive replay: the rule, and a run whose mix changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivereplay.data.adaptive import adaptive_batches, updated_mix
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.errors import DataError
from drivereplay.spec import AdaptiveSpec, Spec

RULE = AdaptiveSpec(every=2, rate=1.0, smoothing=0.0)


def test_the_rule_is_the_formula() -> None:
    mix = updated_mix([0.5, 0.3, 0.2], [1.0, 0.4, 0.9], [0.8, 0.5, 0.2], RULE)
    raw = np.array([0.5 * np.exp(0.2), 0.3, 0.2 * np.exp(0.7)])
    assert mix == pytest.approx(raw / raw.sum(), abs=1e-8)


def test_smoothing_keeps_every_domain_alive() -> None:
    rule = AdaptiveSpec(rate=50.0, smoothing=0.2)
    mix: tuple[float, ...] = (0.5, 0.5)
    for _ in range(100):
        mix = updated_mix(mix, [9.0, 0.1], [0.1, 0.1], rule)
    assert mix == pytest.approx([0.9, 0.1])


def test_nothing_moves_without_excess() -> None:
    assert updated_mix([0.7, 0.3], [0.1, 0.2], [0.5, 0.5], RULE) == pytest.approx([0.7, 0.3])


@pytest.mark.parametrize("losses", [[1.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_unfit_losses_are_refused(losses: list[float]) -> None:
    with pytest.raises(DataError):
        updated_mix([0.5, 0.5], losses, [0.0, 0.0], RULE)


@pytest.mark.usefixtures("ray_session")
def test_a_run_and_its_resume(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(replay={"adaptive": {"every": 2}})
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    mixes = {2: (1.0, 0.0), 4: (0.0, 1.0)}
    asked: list[int] = []

    def mix_at(step: int) -> tuple[float, ...]:
        asked.append(step)
        return mixes[step]

    whole = list(adaptive_batches(spec, indexes, plan, first_step=0, last_step=6, mix_at=mix_at))
    assert asked == [2, 4]
    assert [batch.step for batch in whole] == list(range(6))
    shares = [np.bincount(batch.domain, minlength=3).tolist() for batch in whole]
    assert shares == [[4, 2, 2], [4, 2, 2], [4, 4, 0], [4, 4, 0], [4, 0, 4], [4, 0, 4]]
    resumed = plan.with_mix(2, mixes[2])
    rest = list(adaptive_batches(spec, indexes, resumed, first_step=3, last_step=6, mix_at=mix_at))
    for a, b in zip(whole[3:], rest, strict=True):
        assert np.array_equal(a.clip, b.clip)
        assert np.array_equal(a.frames, b.frames)
