"""Which experiment a checkpoint belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

import drivereplay
from drivereplay.api.fronts import QUICKSTART
from drivereplay.api.judging import spec_of_checkpoint
from drivereplay.errors import SpecError


def test_a_checkpoint_knows_its_experiment(tmp_path: Path) -> None:
    checkpoint = tmp_path / "trials" / "t" / "checkpoints" / "step-3"
    checkpoint.mkdir(parents=True)
    with pytest.raises(SpecError, match="belongs to no run"):
        spec_of_checkpoint(checkpoint)
    (tmp_path / "trials" / "t" / "spec.yaml").write_text(drivereplay.load_spec(QUICKSTART).to_yaml())
    assert spec_of_checkpoint(checkpoint, ["evaluation.clips=3"]).evaluation.clips == 3
