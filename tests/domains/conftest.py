"""One drive of a world, which the tests write in the layout of each data set and read back."""

from __future__ import annotations

import pytest
from tests.domains.miniature import Drive, drive


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    return drive(tmp_path_factory.mktemp("world"))
