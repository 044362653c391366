"""The plan as a dry run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drivereplay.data.plan import SamplingPlan
from drivereplay.data.prepare import prepare
from drivereplay.data.summary import summary
from drivereplay.spec import Spec


def test_summary_is_what_the_plan_does(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(training={"steps": 5})
    indexes = list(prepare(spec).values())
    plan = SamplingPlan.of(spec, [index.count("train") for index in indexes])
    rows = plan.rows(0, 5)
    found = summary(spec, indexes, plan, world_size=2)
    for d, domain in enumerate(found):
        mine = rows.taken(np.flatnonzero(rows.domain == d))
        assert domain.samples == len(mine) == sum(domain.ranks)
        assert domain.never == domain.clips - len(set(mine.clip.tolist()))
        assert domain.ranks == tuple(int((mine.slot % 2 == rank).sum()) for rank in (0, 1))
        assert domain.cache_bytes == len(set(mine.clip.tolist())) * 8 * 32 * 48 * 3
        assert domain.decode_s is not None and domain.decode_s > 0
        assert domain.row()["domain"] == indexes[d].name
    assert sum(domain.share for domain in found) == 1
    assert all(domain.decode_s is None for domain in summary(spec, indexes, plan, timed=False))
