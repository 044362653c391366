"""Clips in memory for the small recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivereplay.spec import Spec, parse_spec
from drivereplay.training.pretrain.frames import world_clips, world_frames


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    storage: Path = tmp_path_factory.mktemp("runs")
    world = {"kind": "world", "clips": 6, "seconds": 1.5}
    return parse_spec(
        {
            "name": "frames",
            "storage": str(storage),
            "clip": {"frames": 5, "context": 2, "fps": 8, "height": 32, "width": 48},
            "target": {"name": "road", "source": {**world, "world": "highway"}},
            "replay": {"frequency": 0.5, "domains": [{"name": "shapes", "source": {**world, "world": "shapes"}}]},
            "evaluation": {"held_out": 0.4},
        }
    )


def test_each_domain_gives_its_clips_in_the_order_of_the_experiment(spec: Spec) -> None:
    clips = world_clips(spec, "train", 3)
    assert [clip.domain for clip in clips] == ["road"] * 3 + ["shapes"] * 3
    assert len({clip.name for clip in clips}) == 6
    assert all(clip.annotations is None for clip in clips)
    assert np.array_equal(world_frames(spec, "train", 3), np.stack([clip.frames for clip in clips]))


def test_no_clip_is_in_both_splits_and_there_are_no_more_than_there_are(spec: Spec) -> None:
    train = {clip.name.rsplit("@", 1)[0] for clip in world_clips(spec, "train", 1000)}
    held_out = {clip.name.rsplit("@", 1)[0] for clip in world_clips(spec, "evaluation", 1000)}
    assert train
    assert held_out
    assert not train & held_out


def test_annotations_come_where_they_are_asked_for(spec: Spec) -> None:
    clip = world_clips(spec, "train", 1, annotated=True)[0]
    assert clip.annotations is not None
    assert clip.annotations.poses.shape == (5, 4, 4)
    assert np.isfinite(clip.annotations.poses).all()
