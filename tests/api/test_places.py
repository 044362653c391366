"""Runs that are not there are said not to be, by everything that looks at one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from drivereplay.api.places import status, submit, write_static_dashboard
from drivereplay.errors import DriveReplayError


@pytest.mark.parametrize("look", [status, lambda run: write_static_dashboard(run, run / "page.html")])
def test_a_run_that_is_not_there(tmp_path: Path, look: Callable[[Path], object]) -> None:
    with pytest.raises(DriveReplayError, match="nowhere"):
        look(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_nothing_to_submit_is_refused() -> None:
    with pytest.raises(DriveReplayError, match="submit"):
        submit([])
