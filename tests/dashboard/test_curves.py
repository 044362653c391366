"""Loss curves as scalars."""

from __future__ import annotations

import re
from pathlib import Path

from tests.dashboard.helpers import accumulated, leave_trial

from drivereplay.dashboard.curves import LAYOUT, add_curve
from drivereplay.dashboard.events import EventFiles
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
