"""Loss curves as scalars."""

from __future__ import annotations

import math
import re
from pathlib import Path

from tests.dashboard.helpers import accumulated, leave_trial, spec

from drivereplay.dashboard.curves import LAYOUT, RunBoard, add_curve
from drivereplay.dashboard.events import EventFiles
from drivereplay.evaluation.report import Estimate
from drivereplay.search.trial import Outcome
from drivereplay.storage import Storage


def test_curves_by_domain_and_noise_level_once(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path)
    leave_trial(directory, "t")
    files = EventFiles(directory)
    trial = directory.below("trials", "t")
    with files.run("trials/t") as writer:
        assert add_curve(writer, trial, 16) == 4
    with files.run("trials/t") as writer:
        assert add_curve(writer, trial, 16, after=4) == 4
    found = accumulated(tmp_path / "tensorboard" / "trials" / "t")
    tags = found.Tags()["scalars"]
    assert "loss/domain/driving" in tags and "loss/level/0.8 to 1.0" in tags
    assert [event.step for event in found.Scalars("loss/total")] == [0, 1, 2, 3, 4]
    assert found.Scalars("speed/samples_per_s")[0].value == 64.0
    patterns = [
        pattern for charts in LAYOUT.values() for _, tag_patterns in charts.values() for pattern in tag_patterns
    ]
    unmatched = [pattern for pattern in patterns if not any(re.fullmatch(pattern, tag) for tag in tags)]
    assert not unmatched, "a chart of the layout would be empty"


def test_no_curve_is_no_error(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path)
    with EventFiles(directory).run("x") as writer:
        assert add_curve(writer, directory.below("trials", "none"), 16) == -1


def test_a_single_training_shows_its_curves_and_figures(tmp_path: Path) -> None:
    experiment = spec(tmp_path / "runs")
    root = Storage.of(experiment.storage).below(experiment.name)
    leave_trial(root, "run")
    board, directory = RunBoard(experiment), root.below("trials", "run")
    estimates = {"fidelity.psnr": Estimate(20.0, 19.0, 21.0, 4), "agents.ade": Estimate(math.nan, 0.0, 1.0, 4)}
    board(directory, Outcome(2, estimates, "abc"))
    board(directory, Outcome(4, estimates, "abc"))
    board(directory, None)
    found = accumulated(tmp_path / "runs" / experiment.name / "tensorboard" / "trials" / "run")
    assert [event.step for event in found.Scalars("loss/total")] == [0, 1, 2, 3, 4]
    assert [(event.step, event.value) for event in found.Scalars("fidelity.psnr")] == [(2, 20.0), (4, 20.0)]
    assert "agents.ade" not in found.Tags()["scalars"]
