"""Footage that is there twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from tests.marked import ffmpeg, needs_ffmpeg

from drivereplay.data.duplicates import Footage, duplicates, shared_footage
from drivereplay.data.index import ingest
from drivereplay.data.ingest import divide, mark_duplicates
from drivereplay.data.looks import Looks
from drivereplay.data.prepare import prepare
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.videos import read_videos
from drivereplay.spec import ClipSpec, Spec
from drivereplay.videos import open_video

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
    videos = {name: Footage([1, 2], [], digest) for name, digest in {"a": "x", "b": "y", "c": "x"}.items()}
    assert duplicates(videos) == {"c": ["a"]}


def test_near_pictures_are_found_and_others_are_not() -> None:
    generator = np.random.default_rng(0)
    base = generator.integers(0, 2**63, 20, dtype=np.uint64)
    near = base ^ np.uint64(0b101)
    other = generator.integers(0, 2**63, 20, dtype=np.uint64)
    looks = {"a": base.tolist(), "b": other.tolist(), "c": near[5:15].tolist(), "d": base[:3].tolist()}
    found = duplicates({name: Footage(look, [], name) for name, look in looks.items()})
    # d is too short to be told from another video of the same scene
    assert found == {"c": ["a"]}


def hashes(seed: int, count: int = 30) -> list[int]:
    return np.random.default_rng(seed).integers(0, 2**63, count, dtype=np.uint64).tolist()


def rows_of(**videos: tuple[str, list[int], str]) -> list[dict]:
    """Rows of an index: key = (group, hashes, digest)."""
    return [
        {"key": key, "group": group, "look": look, "moves": [], "digest": digest, "split": None, "windows": 10}
        for key, (group, look, digest) in videos.items()
    ]


@pytest.mark.parametrize(
    "rows",
    [
        # b is a encoded anew, c a byte copy of b
        rows_of(a=("a", hashes(1), "x"), b=("b", hashes(1), "y"), c=("c", hashes(1), "y"), d=("d", hashes(2), "z")),
        # b shows a, and belongs to a drive whose other part shows something else
        rows_of(a=("a", hashes(1), "x"), b=("drive", hashes(1), "y"), c=("drive", hashes(3), "z"),
                d=("d", hashes(2), "u")),
        # c is a and b joined
        rows_of(a=("a", hashes(1), "x"), b=("b", hashes(3), "y"), c=("c", hashes(1) + hashes(3), "z"),
                d=("d", hashes(2), "u")),
        # c shows the part of b that is not in a
        rows_of(a=("a", hashes(1), "x"), b=("b", hashes(1) + hashes(3), "y"), c=("c", hashes(3), "z"),
                d=("d", hashes(2), "u")),
    ],
)  # fmt: skip
def test_all_that_is_linked_stays_on_one_side_of_the_split(rows: list[dict]) -> None:
    mark_duplicates(rows)
    assert len({row["group"] for row in rows[:3]}) == 1
    assert rows[3]["group"] == "d"
    for seed in range(10):
        for row in rows:
            row["split"] = None
        divide(rows, 0.4, seed)
        assert len({row["split"] for row in rows[:3]}) == 1


def test_a_duplicate_of_what_is_held_out_by_name_is_held_out_too() -> None:
    rows = rows_of(a=("a", hashes(1), "x"), b=("b", hashes(1), "y"), c=("c", hashes(2), "z"))
    rows[1]["split"] = "evaluation"
    mark_duplicates(rows)
    divide(rows, 0.4, 0)
    assert [row["split"] for row in rows] == ["evaluation", "evaluation", "train"]


def test_each_training_video_is_compared_with_all_that_is_held_out() -> None:
    held_out = {"h": Footage(hashes(1), [], "p"), "other": Footage(hashes(7), [], "o")}
    copies = {"anew": Footage(hashes(1), [], "q"), "copy of it": Footage(hashes(1), [], "q")}
    assert shared_footage(copies, held_out) == {"anew": "h", "copy of it": "h"}
    joined = {"before": Footage(hashes(9, 60), [], "r"), "joined": Footage(hashes(9, 60) + hashes(1), [], "s")}
    assert shared_footage(joined, held_out) == {"joined": "h"}
    assert shared_footage({"file": Footage([], [], "p")}, held_out) == {"file": "h"}


def test_flat_pictures_tell_nothing() -> None:
    assert duplicates({"a": Footage([0] * 9, [], "x"), "b": Footage([0] * 9, [], "y")}) == {}


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


def windows(video: Path, count: int) -> dict[str, Footage]:
    """A video in equal parts, each as if it were a file of its own."""
    with open_video(video) as opened:
        frames = [(frame.rgb((32, 18)), frame.time_s or 0.0) for frame in opened.frames()]
    found = {}
    for n, part in enumerate(np.array_split(np.arange(len(frames)), count)):
        looks = Looks()
        for number in part.tolist():
            looks.add(*frames[number])
        look = looks.look()
        found[str(n)] = Footage(look.hashes.tolist(), look.moves.tolist(), str(n))
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [("intel_one-by-one-person-detection.mp4", 24), ("vtest.avi", 13), ("intel_car-detection.mp4", 5)],
)
def test_parts_of_a_fixed_camera_are_no_duplicates(shared_data: Path, name: str, count: int) -> None:
    parts = windows(shared_data / "replay" / "street" / name, count)
    assert all(part.moves for part in parts.values()), "the camera stands still"
    assert duplicates(parts) == {}


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "begin_s"),
    [("vtest.avi", 6.1), ("intel_one-by-one-person-detection.mp4", 46.4), ("intel_car-detection.mp4", 0.0)],
)
def test_a_copy_of_a_fixed_camera_is_a_duplicate(shared_data: Path, tmp_path: Path, name: str, begin_s: float) -> None:
    """Coded anew and badly, scaled, and trimmed, by ffmpeg's command line."""
    source = shared_data / "replay" / "street" / name
    small = ("-an", "-c:v", "libx264", "-preset", "ultrafast", "-crf", 32, "-g", 37)
    ffmpeg("-ss", begin_s, "-t", 8, "-i", source, "-an", "-c:v", "mpeg4", "-q:v", 3, tmp_path / "a.avi")
    ffmpeg("-ss", begin_s, "-t", 8, "-i", source, "-vf", "scale=320:-2", *small, tmp_path / "b.mp4")
    ffmpeg("-ss", begin_s + 0.63, "-t", 6.7, "-i", source, "-vf", "scale=400:-2", *small, tmp_path / "c.mp4")
    ffmpeg("-ss", begin_s + 8, "-t", 8, "-i", source, *small, tmp_path / "d.mp4")
    parts = {file.name: windows(file, 1)["0"]._replace(digest=file.name) for file in sorted(tmp_path.iterdir())}
    assert set(duplicates(parts)) == {"b.mp4", "c.mp4"}


def test_many_videos_of_one_camera_are_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A likely pair is not missed, and the number of comparisons does not grow with the square of the videos."""
    from drivereplay.data import duplicates as module

    generator = np.random.default_rng(0)
    background = generator.integers(0, 255, (18, 32, 3)).astype(np.uint8)
    videos = {}
    for n in range(150):
        looks = Looks()
        row, column = generator.integers(0, 15), generator.integers(0, 28)
        for step in range(40):
            frame = background.copy()
            frame[row : row + 3, (column + step) % 28 : (column + step) % 28 + 4] = 255 - 255 * (n % 2)
            looks.add(frame, step / 8)
        look = looks.look()
        videos[f"{n:03d}"] = Footage(look.hashes.tolist(), look.moves.tolist(), str(n))
    videos["copy"] = videos["017"]._replace(digest="copy")
    calls: list[int] = []
    common = module._common
    monkeypatch.setattr(module, "_common", lambda a, b: calls.append(1) or common(a, b))
    assert "017" in duplicates(videos)["copy"]
    assert len(calls) <= 150 * module._COMPARED
