"""An experiment to submit."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A small experiment file with a relative source and a relative storage."""
    (tmp_path / "clips").mkdir()
    file = tmp_path / "small.yaml"
    file.write_text(
        "name: small\nstorage: runs\n"
        "target: {name: driving, source: {kind: videos, path: clips}}\n"
        "replay:\n  frequency: 0.5\n  domains:\n"
        "    - {name: shapes, source: {kind: world, world: shapes, clips: 4}}\n",
        encoding="utf-8",
    )
    return file
