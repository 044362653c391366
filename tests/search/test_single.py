"""A run outside a sweep: refused before anything is left behind, told of as it goes, gone on with by --resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.helpers import accumulated
from tests.footage import moving_square
from tests.training.helpers import small_spec

from drivereplay.dashboard.curves import RunBoard
from drivereplay.domains.mp4 import write_video
from drivereplay.errors import SpecError
from drivereplay.search.single import run_single
from drivereplay.search.trial import Outcome
from drivereplay.spec import Spec
from drivereplay.storage import Storage


def experiment(tmp_path: Path, **sections: Any) -> Spec:
    for clip in range(4):
        write_video(tmp_path / "driving" / f"{clip}.mp4", moving_square(clip, 24, 32, 32), 8.0)
    values: dict[str, Any] = {
        "target": {"name": "driving", "source": {"kind": "videos", "path": str(tmp_path / "driving")}},
        "replay": {"frequency": 0.0, "domains": []},
        "training": {"steps": 4, "batch_size": 4, "checkpoint_every": 1, "keep": 1},
        "evaluation": {
            "every": 1,
            "clips": 2,
            "denoising_steps": 1,
            "metrics": ["fidelity.psnr", "agents.flow_epe"],
            "videos": 0,
        },
        "search": {"objectives": ["fidelity.psnr", "agents.flow_epe"]},
    }
    return small_spec(storage=str(tmp_path / "runs"), **{**values, **sections})


def test_more_workers_than_the_cluster_has_leave_nothing(tmp_path: Path, ray_session: None) -> None:
    with pytest.raises(
        SpecError,
        match="needs 512 workers with 1 CPUs each and 0.25 .* room for 3",
    ) as caught:
        run_single(experiment(tmp_path, training={"batch_size": 512, "workers": 512}), show_progress=False)
    assert "training.workers" in caught.value.fix
    assert not any(path.is_file() for path in (tmp_path / "runs").rglob("*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("apart", [False, True])
def test_a_run_is_told_of_and_keeps_its_best(tmp_path: Path, ray_session: None, apart: bool) -> None:
    """Evaluated here or in an actor beside the training: the same figures, in order, and the best checkpoint stays."""
    spec = experiment(tmp_path)
    spec = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"apart": apart})})
    outcomes: list[Outcome] = []
    board = RunBoard(spec)

    def told(directory: Storage, outcome: Outcome | None) -> None:
        board(directory, outcome)
        if outcome is not None:
            outcomes.append(outcome)

    result = run_single(spec, show_progress=False, told=told)
    assert result.status == "finished" and result.report is not None
    assert [outcome.step for outcome in outcomes] == [1, 2, 3, 4]
    values = {outcome.step: outcome.metrics["fidelity.psnr"].mean for outcome in outcomes}
    errors = {outcome.step: outcome.metrics["agents.flow_epe"].mean for outcome in outcomes}
    best = {max(values, key=lambda step: (values[step], step)), min(errors, key=lambda step: (errors[step], -step))}
    run = tmp_path / "runs" / "small" / "trials" / "run"
    kept = sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())
    assert kept == sorted({*best, 4})
    events = accumulated(tmp_path / "runs" / "small" / "tensorboard" / "trials" / "run")
    assert [event.step for event in events.Scalars("loss/total")] == [0, 1, 2, 3]
    assert [event.value for event in events.Scalars("fidelity.psnr")] == pytest.approx(list(values.values()))
    quality = json.loads((tmp_path / "runs" / "small" / "environment.json").read_text())["quality"]
    assert set(quality) == {domain.name for domain in spec.domains}
    assert {row["check"]: row["level"] for row in quality[spec.target.name]}["gaps"] == "ok"
    with pytest.raises(SpecError, match="already holds a run"):
        run_single(spec, show_progress=False)
