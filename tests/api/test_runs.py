"""A whole run by the Python API."""

from __future__ import annotations

import json
from pathlib import Path

from tests.footage import moving_square
from tests.training.helpers import small_spec

from drivereplay.api.runs import train
from drivereplay.domains.mp4 import write_video


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
    outcome = train(spec, quiet=True)
    assert outcome.report is not None
    table = outcome.report.tables["forgetting"]
    assert set(table["gains"]) == {"driving", "street"}
    saved = json.loads((Path(outcome.directory) / "evaluation.json").read_text(encoding="utf-8"))
    assert saved["tables"]["forgetting"] == json.loads(json.dumps(table))
