"""A sweep whose cluster has gone ends; `tests/end_to_end/chaos` kills a real raylet under one."""

from __future__ import annotations

import pytest
import ray

from drivereplay.errors import DriveReplayError
from drivereplay.search import watch as watch_module
from drivereplay.search.watch import ClusterWatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"s": 1000.0}
    monkeypatch.setattr(watch_module.time, "monotonic", lambda: now["s"])
    return now


def test_a_cluster_without_nodes_is_given_up_after_a_while(
    clock: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = {"node": True}
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": alive["node"]}])
    watch = ClusterWatch()
    for _ in range(20):
        clock["s"] += 10
        watch.on_step_begin(0, [])
    alive["node"] = False
    for _ in range(6):
        clock["s"] += 10
        watch.on_step_begin(0, [])
    clock["s"] += 10
    with pytest.raises(DriveReplayError, match="no living node") as caught:
        watch.on_step_begin(0, [])
    assert "--resume" in caught.value.fix


def test_a_node_that_comes_back_in_time_is_enough(clock: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([False] * 5 + [True] + [False] * 5)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": next(turns)}])
    watch = ClusterWatch()
    for _ in range(11):
        clock["s"] += 10
        watch.on_step_begin(0, [])
    assert next(turns, None) is None, "the cluster was not asked at every tenth second"


def test_the_cluster_is_not_asked_at_every_turn(clock: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ray, "nodes", lambda: asked.append(1) or [{"Alive": True}])
    watch = ClusterWatch()
    for _ in range(100):
        clock["s"] += 0.1
        watch.on_step_begin(0, [])
    assert len(asked) <= 3
