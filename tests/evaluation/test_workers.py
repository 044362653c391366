from __future__ import annotations

from typing import Any

import pytest
from tests.evaluation.clips import make_clip

from drivereplay.errors import DataError
from drivereplay.evaluation.workers import Workers


def _named(clips: Any, number: int) -> tuple[str, int]:
    return clips[0].name, number


def _failing(clips: Any) -> None:
    raise DataError("This clip is bad.")


def test_small_work_stays_here_and_in_order() -> None:
    taken: list[Any] = []
    workers = Workers(taken.append)
    for n in range(3):
        workers.put(_named, [make_clip(n)], n)
    assert [n for _, n in taken] == [0, 1, 2]


def test_large_work_goes_to_ray_and_comes_back_in_order(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivereplay.evaluation.workers.PAYS_PIXELS", 1)
    taken: list[Any] = []
    workers = Workers(taken.append, ahead=2)
    for n in range(5):
        workers.put(_named, [make_clip(n)], n)
    assert len(taken) >= 3
    workers.finish()
    assert [n for _, n in taken] == [0, 1, 2, 3, 4]
    workers.put(_failing, [make_clip(0)])
    with pytest.raises(DataError, match="This clip is bad"):
        workers.finish()
