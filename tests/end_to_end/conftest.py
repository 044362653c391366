"""The command line in this process, so that all tests share one Ray; small real videos and a small experiment."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.end_to_end.sweeps import small_experiment
from tests.footage import write_domains


@dataclass(frozen=True)
class Outcome:
    """What a call of the command line left."""

    code: int
    out: str
    err: str


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(ray_session: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """`cli("train", file, "--json")` as the console script would run it."""
    from drivereplay.cli import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["drivereplay", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories `driving`, `street` and `objects` with real H.264 files."""
    return write_domains(tmp_path_factory.mktemp("footage"))


def write_experiment(footage: Path, directory: Path) -> Path:
    """A small experiment file on `footage`, its runs below `directory`."""
    data: dict[str, Any] = {
        **small_experiment(footage, directory, ["street", "objects"]),
        "training": {"steps": 4, "batch_size": 8, "learning_rate": 1e-3, "warmup": 1},
        "evaluation": {"clips": 4, "denoising_steps": 2, "resamples": 100, "videos": 1},
        "search": {
            "objectives": ["fidelity.psnr", "agents.flow_epe"],
            "space": {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"},
            "trials": 2,
        },
    }
    path = directory / "small.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.fixture
def experiment(footage: Path, tmp_path: Path) -> Path:
    """A small experiment file of the test's own."""
    return write_experiment(footage, tmp_path)


@pytest.fixture(scope="session")
def swept(ray_session: None, footage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finished small sweep; its experiment file is `../../small.yaml`."""
    import drivereplay

    path = write_experiment(footage, tmp_path_factory.mktemp("swept"))
    drivereplay.sweep(drivereplay.load_spec(path))
    return path.parent / "runs" / "small"
