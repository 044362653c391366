"""What `demo` runs."""

from __future__ import annotations

from pathlib import Path

import drivereplay
from drivereplay.api.fronts import QUICKSTART


def test_the_embedded_default_is_the_quickstart_experiment(project_root: Path) -> None:
    shown = project_root / "experiments" / "quickstart.yaml"
    assert shown.resolve() == QUICKSTART.resolve()
    assert drivereplay.load_spec(QUICKSTART).name == "quickstart"
