"""What a job's driver asks of the cluster, and what reaches it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.jobs.dashboard import Dashboard, serving

from drivereplay.errors import SpecError
from drivereplay.jobs import submit
from drivereplay.jobs.asks import described, fitted, has_place
from drivereplay.jobs.submit import preview
from drivereplay.spec import load_spec

_GPU = ["--set", "resources.gpus_per_worker=1", "--set", "resources.cpus_per_worker=2"]


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard that `submit` finds, without authentication."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with serving(Dashboard()) as served:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", served.address)
        yield served


def _asks(tmp_path: Path, arguments: list[str]) -> dict[str, float]:
    (tmp_path / "staged").mkdir()
    return preview(arguments, tmp_path / "staged").asks


@pytest.mark.parametrize(
    ("verb", "sets", "asks"),
    [
        ("train", [], {"CPU": 1.0}),
        ("train", _GPU, {"CPU": 2.0, "GPU": 1.0}),
        ("train", [*_GPU, "--set=training.device=cpu"], {"CPU": 2.0}),
        (
            "train",
            [*_GPU, "--set=resources.accelerator_type=A100"],
            {"CPU": 2.0, "GPU": 1.0, "accelerator_type:A100": 0.001},
        ),
        ("train", [*_GPU, "--set=training.workers=2"], {}),
        ("train", [*_GPU, "--set=training.workers=[1, 2]"], {}),
        ("train", [*_GPU, "--dry-run"], {}),
        ("sweep", _GPU, {}),
        ("prepare", _GPU, {}),
    ],
)
def test_only_a_driver_that_trains_itself_asks_for_something(
    verb: str, sets: list[str], asks: dict[str, float], tmp_path: Path, experiment: Path
) -> None:
    assert _asks(tmp_path, [verb, str(experiment), *sets]) == asks


@pytest.mark.parametrize(
    ("arguments", "asks"),
    [
        (["evaluate", "--json", "CHECKPOINT"], {"CPU": 2.0, "GPU": 1.0}),
        (["evaluate", "CHECKPOINT", "--set", "resources.cpus_per_worker=3"], {"CPU": 3.0, "GPU": 1.0}),
        (["generate", "CHECKPOINT", "--input", "a.mp4", "--out", "b.mp4"], {"CPU": 2.0, "GPU": 1.0}),
        (["evaluate", "--generated", "CHECKPOINT", "--real", "CHECKPOINT"], {}),
        (["evaluate", "/seen/from/the/cluster/alone"], {}),
        (["front", "CHECKPOINT"], {}),
    ],
)
def test_a_checkpoints_experiment_says_what_judging_it_takes(
    arguments: list[str], asks: dict[str, float], tmp_path: Path, experiment: Path
) -> None:
    trial = tmp_path / "runs" / "small" / "trials" / "t0001"
    checkpoint = trial / "checkpoints" / "step-10"
    checkpoint.mkdir(parents=True)
    (trial / "spec.yaml").write_text(load_spec(experiment, _GPU[1::2]).to_yaml(), encoding="utf-8")
    words = [str(checkpoint) if word == "CHECKPOINT" else word for word in arguments]
    assert _asks(tmp_path, words) == asks


@pytest.mark.parametrize(
    ("asks", "nodes", "found", "place"),
    [
        ({"CPU": 1.0}, [{"CPU": 2.0}], {"CPU": 1.0}, True),
        ({"CPU": 8.0, "GPU": 1.0}, [{"CPU": 8.0, "GPU": 1.0}], {"CPU": 7.0, "GPU": 1.0}, True),
        ({"CPU": 8.0, "GPU": 1.0}, [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 4.0}], {"CPU": 8.0, "GPU": 1.0}, True),
        ({"CPU": 1.0}, [{"CPU": 1.0}], {}, True),  # on the head, beside its tasks
        ({"CPU": 3.0}, [{"CPU": 2.0}] * 4, {"CPU": 2.0}, True),  # a process lies on one node
        ({"CPU": 8.0}, [{"memory": 1.0}], {"CPU": 8.0}, False),  # a head without CPUs: workers have yet to join
        ({"CPU": 8.0, "GPU": 1.0}, [{"CPU": 4.0}], {"CPU": 8.0, "GPU": 1.0}, False),
        ({"CPU": 8.0, "GPU": 1.0, "accelerator_type:A100": 0.001}, [{"CPU": 9.0, "GPU": 8.0}], None, False),
    ],
)
def test_the_drivers_own_tasks_are_left_a_cpu(
    asks: dict[str, float], nodes: list[dict[str, float]], found: dict[str, float] | None, place: bool
) -> None:
    fits = fitted(asks, nodes)
    assert fits == (asks if found is None else found)
    assert has_place(fits, nodes) is place


def test_what_is_asked_for_is_described() -> None:
    asks = {"CPU": 2.0, "GPU": 0.5, "accelerator_type:A100": 0.001}
    assert described(asks) == "2 CPU, 0.5 GPU, accelerator_type:A100"
    assert described({}) == "nothing"


def test_ray_is_asked_for_a_node_that_has_it(dashboard: Dashboard, experiment: Path) -> None:
    dashboard.nodes = [{"memory": 1.0}, {"CPU": 4.0, "GPU": 1.0, "accelerator_type:A100": 1.0}]
    said: list[str] = []
    sets = [*_GPU, "--set", "resources.accelerator_type=A100"]
    assert submit(["train", str(experiment), *sets], wait=False, say=said.append) == 0
    (job,) = dashboard.jobs
    assert (job["entrypoint_num_cpus"], job["entrypoint_num_gpus"]) == (2.0, 1.0)
    assert job["entrypoint_resources"] == {"accelerator_type:A100": 0.001}
    assert not [line for line in said if "reserves" in line or "No node" in line]


def test_a_sweep_asks_ray_for_nothing(dashboard: Dashboard, experiment: Path) -> None:
    assert submit(["sweep", str(experiment), *_GPU], wait=False, say=[].append) == 0
    assert not [key for key in dashboard.jobs[0] if key.startswith("entrypoint_")]


def test_what_does_not_fit_is_said(dashboard: Dashboard, experiment: Path) -> None:
    dashboard.nodes = [{"CPU": 2.0}]
    said: list[str] = []
    submit(["train", str(experiment), "--set", "resources.cpus_per_worker=2"], wait=False, say=said.append)
    assert "The driver reserves 1 CPU, not 2 CPU: more does not fit the cluster beside its own tasks." in said
    assert dashboard.jobs[0]["entrypoint_num_cpus"] == 1.0
    said.clear()
    submit(["train", str(experiment), *_GPU], wait=False, say=said.append)
    assert "No node has what the driver asks for (2 CPU, 1 GPU): the job waits until one joins." in said


def test_a_dry_run_shows_what_the_driver_asks_for(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(experiment), *_GPU]
    submit(arguments, dry_run=True)
    assert "reserves   2 CPU, 1 GPU\n" in capsys.readouterr().out
    submit(arguments, dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["reserves"] == {"CPU": 2.0, "GPU": 1.0}


def test_another_python_is_refused_with_both_versions(dashboard: Dashboard, experiment: Path) -> None:
    dashboard.python = "3.8.19"
    with pytest.raises(SpecError, match=r"runs Python 3\.8\.19; here it is Python 3\.1") as caught:
        submit(["sweep", str(experiment)], wait=False)
    assert caught.value.exit_code == 2
    assert not dashboard.jobs and not dashboard.uploaded


def test_what_is_listed_is_what_ray_takes_along(
    dashboard: Dashboard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The zip that Ray uploads holds the files of the dry run, no more and no less, whatever the tree says to git."""
    tree = tmp_path / "mine"
    (tree / "weights").mkdir(parents=True)
    for name, text in {".gitignore": "weights/\n*.txt\n", ".rayignore": "*", "a.txt": "a", "weights/w.pt": "w"}.items():
        (tree / name).write_text(text, encoding="utf-8")
    (tree / "link").symlink_to("weights/w.pt")
    (tree / "loop").symlink_to(".")
    options: dict[str, Any] = {"include": [tree]}
    submit(["doctor"], dry_run=True, as_json=True, **options)
    document = json.loads(capsys.readouterr().out)
    assert document["left_out"] == [{"path": "mine/loop", "why": "links to a directory that it lies in"}]
    listed = {file["path"] for file in document["files"]}
    assert {name for name in listed if name.startswith("mine/")} == {"mine/a.txt", "mine/link", "mine/weights/w.pt"}
    said: list[str] = []
    submit(["doctor"], wait=False, say=said.append, **options)
    assert "Left out: mine/loop links to a directory that it lies in." in said
    (uploaded,) = dashboard.uploaded
    with zipfile.ZipFile(io.BytesIO(uploaded)) as package:
        assert {name for name in package.namelist() if not name.endswith("/")} == listed
        assert package.read("mine/link") == b"w"
