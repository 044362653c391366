"""Held-out clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.data.conftest import frames_differ, spoil_group
from tests.footage import moving_square

from drivereplay.data.clips import evaluation_clips
from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.prepare import prepare
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.worlds import write_world
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec, Spec


def test_clips_of_a_world_have_their_annotations(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(target={"name": "driving", "source": {"kind": "world", "world": "highway", "clips": 4}})
    index = prepare(spec)["driving"]
    clips = list(evaluation_clips(index, spec.clip, count=2, seed=0))
    assert len(clips) == 2
    for clip in clips:
        assert clip.frames.shape == (8, 32, 48, 3)
        assert (clip.context, clip.fps, clip.domain) == (2, 8.0, "driving")
        assert clip.annotations is not None
        assert clip.annotations.poses.shape == (8, 4, 4)
        assert np.isfinite(clip.annotations.poses).all()


def test_a_damaged_video_has_no_annotations_as_they_count_frames_that_are_gone(tmp_path: Path) -> None:
    recordings = write_world(
        tmp_path / "world", "highway", clips=2, seed=0, frames=60, fps=8, height=64, width=96, split="regular"
    )
    spoil_group(Path(recordings[0].path), 3)
    clip = ClipSpec(frames=4, context=1, fps=8, height=64, width=96)
    index = ingest(recordings, domain="d", clip=clip, held_out=0.0, seed=0, out=tmp_path / "index")
    again = ClipIndex.open(tmp_path / "index")
    for found in (index, again):
        windows = [found.window(s, n) for s in ("train", "evaluation") for n in range(found.count(s))]
        assert {window.key for window in windows if window.annotations is None} == {recordings[0].key}
        assert {window.key for window in windows if window.annotations} == {recordings[1].key}
    assert "annotations" in index.report.notes[recordings[0].key]
    assert "annotations" not in index.report.notes.get(recordings[1].key, "")


def test_the_draw_depends_on_the_seed_alone(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec(evaluation={"held_out": 0.6})
    index = prepare(spec)["driving"]
    total = index.count("evaluation")

    def names(count: int, seed: int) -> list[str]:
        return [clip.name for clip in evaluation_clips(index, spec.clip, count=count, seed=seed)]

    everything = names(1000, 0)
    assert len(everything) == len(set(everything)) == total
    assert names(4, 0) == everything[:4]
    assert names(total, 1) != everything
    assert set(names(total, 1)) == set(everything)


def test_frames_are_those_of_the_window(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    index = prepare(spec)["driving"]
    windows = {w.name: w for w in (index.window("evaluation", n) for n in range(index.count("evaluation")))}
    for clip in evaluation_clips(index, spec.clip, count=3, seed=0):
        assert frames_differ(clip.frames, Decoder(spec.clip).decode([windows[clip.name]])[0][0]) == 0
        assert clip.annotations is None


def test_what_cannot_be_read_is_passed_over(make_spec: Callable[..., Spec], tmp_path: Path) -> None:
    for number in range(6):
        write_video(tmp_path / "v" / f"{number}.mp4", moving_square(number, 16), 8.0)
    target = {"name": "driving", "source": {"kind": "videos", "path": str(tmp_path / "v")}}
    spec = make_spec(target=target, evaluation={"held_out": 0.5})
    index = prepare(spec)["driving"]
    gone, *left = index.videos("evaluation")
    (tmp_path / "v" / gone).unlink()
    clips = list(evaluation_clips(index, spec.clip, count=100, seed=0))
    assert {clip.name.split("@")[0] for clip in clips} == {f"driving/{key}" for key in left}
    for key in left:
        (tmp_path / "v" / key).unlink()
    with pytest.raises(DataError, match="None of the 9 held-out clips"):
        list(evaluation_clips(index, spec.clip, count=2, seed=0))


def test_a_subset_that_is_not_there(make_spec: Callable[..., Spec]) -> None:
    spec = make_spec()
    with pytest.raises(DataError, match="no held-out clip of split 'rare-motion'"):
        next(evaluation_clips(prepare(spec)["driving"], spec.clip, count=1, seed=0, subset="rare-motion"))
