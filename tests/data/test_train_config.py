"""The stream inside Ray Train."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.stream import rebatched
from drivereplay.data.train_config import NAME, PlanDataConfig
from drivereplay.spec import Spec


@pytest.mark.usefixtures("ray_session")
def test_each_worker_gets_its_rows_from_the_step_that_is_told(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    begin = [0]
    config = PlanDataConfig(spec, indexes, plan, first_step=lambda: begin[0], last_step=5)
    data = {NAME: config.placeholder()}
    # a first start with two workers, then a restart with four that goes on at step 3
    for world_size, first in ((2, 0), (4, 3)):
        begin[0] = first
        iterators = config.configure(data, world_size, None, None)
        assert len(iterators) == world_size
        for rank, shards in enumerate(iterators):
            found = list(rebatched(shards[NAME], spec, indexes, 8 // world_size, range(first, 5)))
            assert [batch.step for batch in found] == list(range(first, 5))
            for batch in found:
                rows = plan.rank_step(batch.step, rank, world_size)
                assert np.array_equal(batch.sample, rows.sample)
                assert np.array_equal(batch.clip, rows.clip)
