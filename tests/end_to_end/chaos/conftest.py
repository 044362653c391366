"""A sweep to break, and the same one left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.end_to_end.sweeps import Run, write_sweep


@pytest.fixture(scope="session")
def undisturbed(footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same sweep, left alone."""
    run = write_sweep(footage, tmp_path_factory.mktemp("undisturbed"))
    run.finish()
    return run


@pytest.fixture
def run(footage: Path, tmp_path: Path) -> Iterator[Run]:
    """A sweep to break."""
    run = write_sweep(footage, tmp_path)
    yield run
    run.end()
