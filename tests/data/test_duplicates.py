"""Footage that is there twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from drivereplay.data.duplicates import duplicates, shared_footage
from drivereplay.data.index import ingest
from drivereplay.data.prepare import prepare
from drivereplay.data.video import write_video
from drivereplay.domains.videos import read_videos
from drivereplay.spec import ClipSpec, Spec

CLIP = ClipSpec(frames=8, context=2, fps=8, height=32, width=48)


def slideshow(seed: int, seconds: int = 8) -> np.ndarray:
    """(T, 72, 96, 3) at 8 fps: another picture each second, which also drifts."""
    generator = np.random.default_rng(seed)
    frames = []
    for _ in range(seconds):
        picture = generator.integers(0, 255, (9, 12, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        frames += [np.roll(picture, n, axis=1) for n in range(8)]
    return np.stack(frames)


def test_the_same_file_under_another_name() -> None:
    looks = {name: [1, 2] for name in "abc"}
    assert duplicates(looks, {"a": "x", "b": "y", "c": "x"}) == {"c": "a"}


def test_near_pictures_are_found_and_others_are_not() -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 2**63, 20, dtype=np.uint64)
    near = base ^ np.uint64(0b101)
    other = generator.integers(0, 2**63, 20, dtype=np.uint64)
    looks = {"a": base.tolist(), "b": other.tolist(), "c": near[5:15].tolist(), "d": base[:3].tolist()}
    found = duplicates(looks, {name: name for name in looks})
    # d is too short to be told from another video of the same scene
    assert found == {"c": "a"}


def test_flat_pictures_tell_nothing() -> None:
    assert duplicates({"a": [0] * 9, "b": [0] * 9}, {"a": "x", "b": "y"}) == {}


@pytest.mark.parametrize("change", ["copied", "smaller", "cut"])
def test_a_copy_stays_on_one_side_of_the_split(tmp_path: Path, change: str) -> None:
    videos = tmp_path / "videos"
    for number in range(4):
        write_video(videos / f"{number}.mp4", slideshow(number), 8.0)
    if change == "copied":
        shutil.copy(videos / "2.mp4", videos / "z.mp4")
    elif change == "smaller":
        write_video(videos / "z.mp4", slideshow(2)[:, ::2, ::2], 8.0)
    else:
        write_video(videos / "z.mp4", slideshow(2)[8:], 8.0)
    for seed in range(6):
        index = ingest(
            read_videos(str(videos)), domain="d", clip=CLIP, held_out=0.4, seed=seed, out=tmp_path / f"index{seed}"
        )
        assert index.report.notes["z.mp4"].endswith("shows the same as 2.mp4")
        assert ("2.mp4" in index.videos("train")) == ("z.mp4" in index.videos("train"))


def test_replay_does_not_show_what_the_target_is_judged_on(
    make_spec: Callable[..., Spec], footage: dict[str, Path], tmp_path: Path
) -> None:
    replay = tmp_path / "replay"
    shutil.copytree(footage["driving"], replay)
    shutil.copytree(footage["street"], replay / "street")
    domains = [{"name": "mixed", "source": {"kind": "videos", "path": str(replay)}}]
    indexes = prepare(make_spec(replay={"domains": domains}))
    held_out = set(indexes["driving"].videos("evaluation"))
    assert held_out
    assert not held_out & set(indexes["mixed"].videos("train"))
    said = indexes["mixed"].report.set_aside
    for name in held_out & set(said):
        assert f"shows the same as {name}, held out of 'driving'" in said[name]
    assert shared_footage(indexes["mixed"].footage("train"), indexes["driving"].footage("evaluation")) == {}


def test_a_rewrapped_stream_is_a_duplicate(tmp_path: Path) -> None:
    write_video(tmp_path / "v" / "a.mp4", slideshow(1), 8.0)
    write_video(tmp_path / "v" / "b.mp4", slideshow(5), 8.0)
    with av.open(str(tmp_path / "v" / "a.mp4")) as source, av.open(str(tmp_path / "v" / "c.mkv"), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    found = read_videos(str(tmp_path / "v"))
    index = ingest(found, domain="d", clip=CLIP, held_out=0.4, seed=0, out=tmp_path / "index")
    assert index.table["duplicate_of"].to_pylist() == [None, None, "a.mp4"]
