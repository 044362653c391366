"""The cache of latents holds what the project itself would decode and encode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
import torch

from drivereplay.domains.worlds import write_world
from drivereplay.models.wan import Wan


def test_a_shard_holds_the_latents_of_the_written_world(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    settings = script("recipe").load_recipe()
    clip, length = settings.clip, script("recipe").LENGTH
    model = Wan.open(settings.base, context=clip.context)
    got = script("latents").encode_clips(model, "highway", clip, 100, range(2))
    written = write_world(
        tmp_path / "world", "highway", clips=2, seed=100, frames=length, fps=clip.fps, height=clip.height,
        width=clip.width, split="both",
    )  # fmt: skip
    assert [recording.subset for recording in written] == ["regular", "rare-motion"]
    for latents, recording in zip(got, written, strict=True):
        with av.open(recording.path) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        with torch.no_grad():
            expected = model.encode(torch.from_numpy(frames[None]))[0].numpy()
        assert latents.shape == (12, length, 16, 24)
        np.testing.assert_allclose(latents, expected, atol=5e-3)


def test_shards_are_written_once_and_an_interrupted_call_goes_on(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, recipe = script("latents"), script("recipe")
    settings = recipe.load_recipe()
    few = {name: world.model_copy(update={"shards": 1}) for name, world in list(settings.worlds.items())[:2]}
    settings = settings.model_copy(update={"worlds": few})
    monkeypatch.setattr(latents, "SHARD", 2)
    progress = latents.write_latents(tmp_path, settings)
    assert [next(progress), next(progress), next(progress)] == [(1, 4), (2, 4), (3, 4)]
    progress.close()
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert list(latents.write_latents(tmp_path, settings))[-1] == (4, 4)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) == 3
    assert {name: after[name] for name in before} == before
    assert len(after) == 4
    train, held_out = (np.load(tmp_path / f"highway-{seed}-000.npy") for seed in (100, latents.HELD_OUT_SEED))
    assert len(train) == 2
    assert len(held_out) == 1
    assert not np.array_equal(train[:1], held_out)
