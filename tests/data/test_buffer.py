"""Replay buffers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivereplay.data.buffer import buffered, k_centres
from drivereplay.data.index import ClipIndex
from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.spec import BufferSpec, Spec
from drivereplay.storage import Storage


@pytest.fixture
def street(make_spec: Callable[..., Spec]) -> ClipIndex:
    return prepare(make_spec())["street"]


def kept(index: ClipIndex) -> list[int]:
    return index.numbers(np.arange(index.count("train"))).tolist()


def test_all_and_first(street: ClipIndex) -> None:
    assert buffered(street, BufferSpec(), 0) is street
    assert buffered(street, BufferSpec(kind="first", clips=1000), 0) is street
    assert kept(buffered(street, BufferSpec(kind="first", clips=3), 0)) == [0, 1, 2]


def test_reservoir_is_a_uniform_choice(street: ClipIndex) -> None:
    total = street.count("train")
    choices = [kept(buffered(street, BufferSpec(kind="reservoir", clips=3), seed)) for seed in range(400)]
    assert all(len(set(choice)) == 3 for choice in choices)
    counts = np.bincount(np.concatenate(choices), minlength=total)
    expected = 1200 / total
    # chi-squared with total − 1 degrees of freedom; 99.9 % lies below about three times that many
    assert ((counts - expected) ** 2 / expected).sum() < 3 * total + 10


def test_k_centre_takes_the_farthest() -> None:
    features = np.float32([[0, 0], [0.1, 0], [0, 0.1], [10, 0], [0, 10], [10.1, 0]])
    assert {int(n) for n in k_centres(features, 3)} >= {4}
    chosen = k_centres(features, 3)
    spread = min(np.linalg.norm(features[a] - features[b]) for a in chosen for b in chosen if a != b)
    assert spread > 9
    assert len(k_centres(features, 100)) == 6


def test_k_centre_over_clips_is_kept_for_the_next_run(street: ClipIndex, tmp_path: object) -> None:
    storage = Storage.of(str(tmp_path)).below("buffers")
    rule = BufferSpec(kind="k-centre", clips=3)
    chosen = kept(buffered(street, rule, 0, storage))
    assert len(set(chosen)) == 3
    (name,) = storage.names()
    storage.write(name, b"[0, 1, 2]")
    assert kept(buffered(street, rule, 0, storage)) == [0, 1, 2]


def test_the_plan_draws_only_from_the_buffer(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(replay={"buffer": {"kind": "reservoir", "clips": 2}})
    indexes = list(prepare(spec).values())
    assert [index.count("train") for index in indexes[1:]] == [2, 2]
    assert indexes[0].count("train") > 2
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    rows = plan.rows(0, 6)
    assert set(rows.clip[rows.domain > 0].tolist()) == {0, 1}
