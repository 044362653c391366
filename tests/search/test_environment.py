"""What has to be known to run the same thing again."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

from tests.search.problems import experiment

from drivereplay.search.environment import environment
from drivereplay.spec import with_values


def test_versions_machine_seeds_and_further_sections_are_named(tmp_path: Path) -> None:
    spec = with_values(experiment(tmp_path), {"seed": 7, "evaluation.seed": 3})
    found = json.loads(json.dumps(environment(spec, search={"lag": 3})))
    assert found["seeds"] == {"experiment": 7, "evaluation": 3}
    assert found["packages"]["optuna"] == metadata.version("optuna")
    assert found["python"] == sys.version.split()[0]
    assert found["machine"]["cpus"] >= 1 and found["machine"]["memory_bytes"] > 2**28
    assert found["search"] == {"lag": 3}
    assert found["commit"] is None or len(found["commit"].split("-")[0]) == 40
