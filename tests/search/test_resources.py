"""How many trials fit, with room left for what they decode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.search.problems import experiment

from drivereplay.errors import SpecError
from drivereplay.search.resources import TrialResources, trial_resources
from drivereplay.spec import with_values


def fit(nodes: list[dict[str, float]], **changes: Any) -> TrialResources:
    spec = experiment(Path("/nowhere"), concurrent=changes.pop("concurrent", None))
    return trial_resources(with_values(spec, {k.replace("__", "."): v for k, v in changes.items()}), nodes)


@pytest.mark.parametrize(
    ("nodes", "changes", "concurrent", "cpus"),
    [
        ([{"CPU": 2.0}], {}, 1, 1.0),
        ([{"CPU": 4.0}], {}, 3, 1.0),
        ([{"CPU": 1.0}], {}, 1, 0.75),  # the trial gives way to its own decoding task
        ([{"CPU": 4.0}], {"concurrent": 2}, 2, 1.0),
        ([{"CPU": 4.0}], {"concurrent": 9}, 3, 1.0),
        ([{"CPU": 4.0}], {"resources__cpus_per_worker": 0.25}, 8, 0.25),
        ([{"CPU": 1.1}] * 8, {"concurrent": 8}, 1, 0.85),  # a trial lies on one node
        ([{"CPU": 8.0}] * 2, {"resources__quota": 0.5}, 6, 1.0),
        ([{"CPU": 32.0, "GPU": 4.0}], {"resources__gpus_per_worker": 0.5}, 8, 1.0),
        ([{"CPU": 9.0}], {"training__workers": 2}, 4, 0.0),  # its worker group asks for its own
    ],
)
def test_trials_fit_with_their_decoding(
    nodes: list[dict[str, float]], changes: dict[str, Any], concurrent: int, cpus: float
) -> None:
    found = fit(nodes, **changes)
    assert (found.concurrent, found.cpus) == (concurrent, pytest.approx(cpus))
    used = found.concurrent * (found.cpus + 0.25)
    assert used <= sum(node["CPU"] for node in nodes) + 1e-9


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(SpecError, match="needs 1 GPUs, the cluster has 0"):
        fit([{"CPU": 4.0}], resources__gpus_per_worker=1.0)
    assert fit([{"CPU": 4.0, "GPU": 1.0}], resources__gpus_per_worker=1.0).request == {"cpu": 1.0, "gpu": 1.0}
