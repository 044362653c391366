from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.evaluation.clips import StandInModel, make_clip

from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DriveReplayError, SpecError
from drivereplay.evaluation.generate import clip_seed, generate_file, generate_futures
from drivereplay.spec import parse_spec
from drivereplay.videos import read_frames


def _futures(model: StandInModel, clips: list, samples: int = 2, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return generate_futures(model, clips, samples=samples, seed=seed, denoising_steps=1)  # type: ignore[arg-type]


def test_a_clip_does_not_depend_on_its_batch() -> None:
    clips = [make_clip(n) for n in range(3)]
    together = _futures(StandInModel(), clips)
    assert together.shape == (2, 3, 8, 48, 64, 3)
    np.testing.assert_array_equal(together[:, 1:2], _futures(StandInModel(), clips[1:2]))
    assert (together[0] != together[1]).any() and (together != _futures(StandInModel(), clips, seed=1)).any()
    np.testing.assert_array_equal(together[0, 2, :2], clips[2].frames[:2])


def test_seeds_are_stable_and_differ() -> None:
    seeds = {clip_seed(s, c, k) for s in (0, 1) for c in ("a", "b") for k in (0, 1)}
    assert len(seeds) == 8 and all(0 <= s < 2**63 for s in seeds)
    assert clip_seed(0, "driving/a@0.0", 0) == clip_seed(0, "driving/a@0.0", 0)


def test_frames_that_are_no_frames_are_refused() -> None:
    model = StandInModel()
    model.generate = lambda *a: torch.full((1, 8, 48, 64, 3), float("nan"))  # type: ignore[method-assign]
    with pytest.raises(DriveReplayError, match=r"float32 where .* uint8 was asked for"):
        _futures(model, [make_clip(0)])


def test_a_file_is_continued_by_a_checkpoint(tmp_path: Path) -> None:
    from drivereplay.models import load_model

    spec = parse_spec(
        {
            "name": "g",
            "clip": {"frames": 5, "context": 1, "fps": 8, "height": 16, "width": 16},
            "target": {"name": "d", "source": {"kind": "videos", "path": "/nowhere"}},
            "evaluation": {"denoising_steps": 1},
        }
    )
    checkpoint = tmp_path / "run" / "checkpoints" / "step-1"
    load_model(spec).save(checkpoint)
    write_video(tmp_path / "in.mp4", make_clip(0, height=40, width=40, annotated=False).frames, 8)
    with pytest.raises(SpecError, match="belongs to no run"):
        generate_file(checkpoint, tmp_path / "in.mp4", tmp_path / "out.mp4")
    (tmp_path / "run" / "spec.yaml").write_text(spec.to_yaml())
    generate_file(checkpoint, tmp_path / "in.mp4", tmp_path / "out.mp4")
    shown = read_frames(tmp_path / "out.mp4")
    frames, fps = shown.frames, shown.fps
    assert frames.shape == (5, 16, 16, 3) and fps == 8
    with pytest.raises(SpecError, match="more than the context"):
        generate_file(checkpoint, tmp_path / "in.mp4", tmp_path / "out.mp4", frames=1)
