"""The Python API: its names, and that what it says matches what the verbs do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.footage import moving_square
from tests.training.helpers import small_spec

import drivereplay
from drivereplay.api import QUICKSTART, spec_of_checkpoint
from drivereplay.data.video import write_video
from drivereplay.errors import SpecError


def test_every_public_name_is_there_and_documented() -> None:
    for name in drivereplay.__all__:
        found = getattr(drivereplay, name)
        assert name == "__version__" or found.__doc__, name
    with pytest.raises(AttributeError, match="no attribute"):
        drivereplay.nonsense  # noqa: B018


def test_the_embedded_default_is_the_quickstart_experiment(project_root: Path) -> None:
    shown = project_root / "experiments" / "quickstart.yaml"
    assert shown.resolve() == QUICKSTART.resolve()
    assert drivereplay.load_spec(QUICKSTART).name == "quickstart"


EXPERIMENTS = [
    path
    for path in sorted((Path(__file__).parent.parent / "experiments").glob("*.yaml"))
    # studies and the autoencoder's recipe have readers, and tests, of their own
    if "target" in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_file_is_valid(path: Path) -> None:
    assert drivereplay.load_spec(path).name


def test_a_checkpoint_knows_its_experiment(tmp_path: Path) -> None:
    checkpoint = tmp_path / "trials" / "t" / "checkpoints" / "step-3"
    checkpoint.mkdir(parents=True)
    with pytest.raises(SpecError, match="belongs to no run"):
        spec_of_checkpoint(checkpoint)
    (tmp_path / "trials" / "t" / "spec.yaml").write_text(drivereplay.load_spec(QUICKSTART).to_yaml())
    assert spec_of_checkpoint(checkpoint, ["evaluation.clips=3"]).evaluation.clips == 3


def test_a_run_says_what_was_forgotten(tmp_path: Path, ray_session: None) -> None:
    videos = {}
    for place, domain in enumerate(("driving", "street")):
        for n in range(3):
            write_video(tmp_path / domain / f"{n}.mp4", moving_square(10 * place + n, 16, 32, 32), 8.0)
        videos[domain] = {"kind": "videos", "path": str(tmp_path / domain)}
    spec = small_spec(
        str(tmp_path / "runs"),
        target={"name": "driving", "source": videos["driving"]},
        replay={"frequency": 0.5, "domains": [{"name": "street", "source": videos["street"]}]},
        training={"steps": 2, "batch_size": 4, "checkpoint_every": 2},
        evaluation={"every": 2, "clips": 2, "replay_clips": 2, "denoising_steps": 1, "metrics": ["fidelity.psnr"]},
    )
    outcome = drivereplay.train(spec, quiet=True)
    assert outcome.report is not None
    table = outcome.report.tables["forgetting"]
    assert set(table["gains"]) == {"driving", "street"}
    saved = json.loads((Path(outcome.directory) / "evaluation.json").read_text(encoding="utf-8"))
    assert saved["tables"]["forgetting"] == json.loads(json.dumps(table))


def test_a_plan_for_a_rank_that_cannot_be_is_refused() -> None:
    spec = drivereplay.load_spec(QUICKSTART)
    for rank, world_size in ((0, 3), (2, 2), (-1, 2)):
        with pytest.raises(SpecError, match="does not fit a batch"):
            drivereplay.plan(spec, rank=rank, world_size=world_size)
