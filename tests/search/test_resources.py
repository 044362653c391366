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


GPU_NODE = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0}


@pytest.mark.parametrize(
    ("nodes", "changes", "reason"),
    [
        (
            [{"CPU": 4.0}],
            {"gpus_per_worker": 1.0},
            "1 CPUs and 1 GPUs each, and the cluster has room for 0: a node",
        ),
        # no node has both
        (
            [GPU_NODE, {"CPU": 16.0}],
            {"gpus_per_worker": 1.0, "cpus_per_worker": 12.0},
            "room for 0: a node of 8 CPUs",
        ),
        ([{"CPU": 4.0}] * 2, {"cpus_per_worker": 5.0}, "room for 0: 2 nodes of 4 CPUs"),
        ([{"CPU": 4.0}] * 2, {"cpus_per_worker": 3.0, "workers": 4}, "needs 4 workers with 3 CPUs each"),
        # two workers would hold both CPUs, and their decoding tasks would wait for ever
        (
            [{"CPU": 2.0}],
            {"workers": 2},
            "2 workers with 1 CPUs each and 0.25 CPUs for decoding .* room for 1: a node of 2",
        ),
        ([{"CPU": 64.0}], {"cpus_per_worker": 8.0, "workers": 8}, "room for 7: a node of 64 CPUs"),
        ([{"CPU": 8.0}] * 8, {"cpus_per_worker": 8.0, "workers": 8}, "room for 7: 8 nodes of 8 CPUs"),
        ([GPU_NODE], {"gpus_per_worker": 1.0, "accelerator_type": "H100"}, r"1 GPUs \(H100\) each.* 2 GPUs \(A100\)"),
    ],
)
def test_what_can_never_be_given_is_refused(
    nodes: list[dict[str, float]], changes: dict[str, Any], reason: str
) -> None:
    workers = changes.pop("workers", 1)
    asked = {f"resources__{name}": value for name, value in changes.items()}
    with pytest.raises(SpecError, match=reason):
        fit(nodes, training__workers=workers, **asked)


def test_a_type_of_gpu_is_asked_for() -> None:
    asked = {"resources__gpus_per_worker": 1.0, "resources__accelerator_type": "A100"}
    found = fit([GPU_NODE, {"CPU": 8.0, "GPU": 8.0, "accelerator_type:T4": 1.0}], **asked)
    assert found.concurrent == 2, "the other GPUs do not count"
    assert found.request == {"cpu": 1.0, "gpu": 1.0, "accelerator_type:A100": 0.001}
    assert fit([GPU_NODE], resources__gpus_per_worker=1.0).request == {"cpu": 1.0, "gpu": 1.0}


def test_gpus_are_shared_only_below_one() -> None:
    with pytest.raises(SpecError, match="neither a fraction of one nor whole"):
        fit([GPU_NODE], resources__gpus_per_worker=1.5)


def test_gpus_that_nobody_asked_for_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        fit([GPU_NODE], training__device="cpu")
        assert not caplog.records
        fit([GPU_NODE])
    assert "2 GPUs stay idle" in caplog.text
