"""A whole run by the Python API."""

from __future__ import annotations

from pathlib import Path

from tests.footage import moving_square
from tests.training.helpers import small_spec

from drivereplay.api.judging import compare, evaluate
from drivereplay.api.runs import train
from drivereplay.domains.mp4 import write_video


def test_what_was_forgotten_is_the_difference_to_the_base_on_a_set(tmp_path: Path, ray_session: None) -> None:
    videos = {}
    for place, domain in enumerate(("driving", "street")):
        for n in range(3):
            write_video(tmp_path / domain / f"{n}.mp4", moving_square(10 * place + n, 16, 32, 32), 8.0)
        videos[domain] = {"kind": "videos", "path": str(tmp_path / domain)}
    sets = {"driving": {}, "street": {"domains": ["street"]}}
    spec = small_spec(
        str(tmp_path / "runs"),
        target={"name": "driving", "source": videos["driving"]},
        replay={"frequency": 0.5, "domains": [{"name": "street", "source": videos["street"]}]},
        training={"steps": 2, "batch_size": 4, "checkpoint_every": 2},
        evaluation={"every": 2, "clips": 2, "sets": sets, "denoising_steps": 1, "metrics": ["fidelity.psnr"]},
    )
    outcome = train(spec, quiet=True)
    assert outcome.report is not None
    # the very same evaluation of the checkpoint, from the command's side
    (checkpoint,) = (Path(outcome.directory) / "checkpoints").glob("step-*2")
    again = evaluate(checkpoint)
    assert again.protocol == outcome.report.protocol
    found = compare(again, Path(outcome.directory))
    assert {"fidelity.psnr@driving", "fidelity.psnr@street"} <= set(found.differences)
    assert found.differences["fidelity.psnr@street"].estimate.mean == 0
