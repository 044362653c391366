"""Plans that cannot be printed, and worlds that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

import drivereplay
from drivereplay.api.footage import list_worlds, write_worlds
from drivereplay.api.fronts import QUICKSTART
from drivereplay.errors import SpecError


def test_a_plan_for_a_rank_that_cannot_be_is_refused() -> None:
    spec = drivereplay.load_spec(QUICKSTART)
    for rank, world_size in ((0, 3), (2, 2), (-1, 2)):
        with pytest.raises(SpecError, match="does not fit a batch"):
            drivereplay.plan(spec, rank=rank, world_size=world_size)


def test_an_impossible_world_does_not_even_start_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr("drivereplay.session.ensure_ray", lambda: begun.append("ray"))
    with pytest.raises(SpecError, match="Did you mean 'highway'"):
        write_worlds(tmp_path / "w", "higway", clips=1)
    assert not begun
    write_worlds(tmp_path / "w", "shapes", clips=1, frames=2, height=32, width=48)
    assert begun == ["ray"] and "shapes" in list_worlds()
