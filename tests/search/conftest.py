"""Optuna's own talk says nothing here; a busy machine is no failing property."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import optuna
import pytest

hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile("search")


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)
