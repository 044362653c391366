"""The plan as a Ray Data source."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.source import PlanSource
from drivereplay.data.stream import Work
from drivereplay.spec import Spec


@pytest.mark.usefixtures("ray_session")
def test_read_tasks_are_the_blocks(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    work = Work(spec, tuple(indexes), plan, range(4), 0, 1)
    source = PlanSource(work)
    tasks = source.get_read_tasks(1)
    assert len(tasks) == work.blocks
    assert [task.metadata.num_rows for task in tasks] == work.block_rows
    blocks = [block for task in tasks for block in task()]
    samples = np.concatenate([block["sample"].to_numpy() for block in blocks])
    assert np.array_equal(samples, plan.rows(0, 4).sample)
    assert source.estimate_inmemory_data_size() == 32 * 8 * 32 * 48 * 3
