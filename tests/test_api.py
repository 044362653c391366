"""The Python API: its names, and that what it says matches what the verbs do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import drivereplay


def test_every_public_name_is_there_and_documented() -> None:
    for name in drivereplay.__all__:
        found = getattr(drivereplay, name)
        assert name == "__version__" or found.__doc__, name
    with pytest.raises(AttributeError, match="no attribute"):
        drivereplay.nonsense  # noqa: B018


EXPERIMENTS = [
    path
    for path in sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
    # studies and the autoencoder's recipe have readers, and tests, of their own
    if "target" in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_file_is_valid(path: Path) -> None:
    assert drivereplay.load_spec(path).name
