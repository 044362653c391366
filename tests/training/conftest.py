"""Footage for runs that read real videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.footage import moving_square
from tests.training.helpers import small_spec

from drivereplay.domains.mp4 import write_video
from drivereplay.spec import Spec


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of four short mp4 files each."""
    root = tmp_path_factory.mktemp("filmed")
    for number, domain in enumerate(("driving", "street")):
        for clip in range(4):
            write_video(root / domain / f"{clip}.mp4", moving_square(10 * number + clip, 24, 32, 32), 8.0)
    return root


@pytest.fixture
def filmed_spec(filmed: Path, tmp_path: Path) -> Callable[..., Spec]:
    """Makes experiments on the footage, with `training` values replaced."""

    def make(**training: Any) -> Spec:
        def domain(name: str) -> dict[str, Any]:
            return {"name": name, "source": {"kind": "videos", "path": str(filmed / name)}}

        values = {"steps": 6, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2, "checkpoint_every": 2, **training}
        return small_spec(
            storage=str(tmp_path / "runs"),
            target=domain("driving"),
            replay={"frequency": 0.5, "domains": [domain("street")]},
            training=values,
        )

    return make
