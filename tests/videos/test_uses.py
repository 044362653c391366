"""Awkward files: the index, `evaluate`, `generate` and film strips show what ffmpeg's command line shows."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from tests.data.conftest import spoil_group
from tests.marked import (
    X264,
    Truth,
    corners_of,
    ffmpeg,
    make,
    nearest,
    needs_ffmpeg,
    numbers_in,
    show_as,
    truth,
)  # fmt: skip

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.domains.annotations import annotation_directory, write_annotations
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError
from drivereplay.evaluation.videos import PairRules, matched, read_clip_file, read_pairs
from drivereplay.spec import ClipSpec
from drivereplay.videos import read_frames, read_video

pytestmark = needs_ffmpeg

WIDTH, HEIGHT, FRAMES = 192, 108, 60
SQUARE = "scale=trunc(iw*sar/2)*2:ih,setsar=1"


def turned(*matrix: int) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        return show_as(make(root / "stored.mp4", FRAMES, *X264), root / "v" / "a.mp4", matrix)  # type: ignore[arg-type]

    return made


def encoded(name: str, *arguments: object, fps: float = 30) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        return make(root / "v" / name, FRAMES, *(arguments or X264), fps=fps)

    return made


def converted(name: str, *arguments: object, before: tuple[object, ...] = ()) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        source = make(root / "stored.mp4", FRAMES, *X264)
        (root / "v").mkdir()
        ffmpeg(*before, "-i", source, *arguments, root / "v" / name)
        return root / "v" / name

    return made


def after_a_small_stream(name: str, other: str) -> Callable[[Path], Path]:
    def made(root: Path) -> Path:
        camera, small = make(root / "stored.mp4", FRAMES, *X264), f"{other}s=96x54:r=30:d=2"
        (root / "v").mkdir()
        streams = ("-map", "1:v", "-map", "0:v", "-shortest")
        ffmpeg("-i", camera, "-f", "lavfi", "-i", small, *streams, *X264, root / "v" / name)
        return root / "v" / name

    return made


QUIET_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p")
STALLED = ("-vf", "select='lt(n,12)+gte(n,20)'", "-vsync", "passthrough", *X264)
CASES: dict[str, Callable[[Path], Path]] = {
    "plain": encoded("a.mp4"),
    "turned right": turned(0, 1, -1, 0, HEIGHT, 0),
    "upside down": turned(-1, 0, 0, -1, WIDTH, HEIGHT),
    "turned left": turned(0, -1, 1, 0, 0, WIDTH),
    "hflip": turned(-1, 0, 0, 1, WIDTH, 0),
    "vflip": turned(1, 0, 0, -1, 0, HEIGHT),
    "transpose": turned(0, 1, 1, 0, 0, 0),
    "transverse": turned(0, -1, -1, 0, HEIGHT, WIDTH),
    "small stream first": after_a_small_stream("a.mp4", "color=red:"),
    # of a higher bit rate, by which FFmpeg's library chooses but not its command line
    "small stream first, transport stream": after_a_small_stream("a.ts", "testsrc2="),
    "stalls": converted("a.mp4", *STALLED),
    "pixels that are not square": converted("a.mp4", "-vf", "scale=144:108,setsar=4/3", *X264),
    "raw H.264 of 30 fps": encoded("a.h264"),
    "raw H.264 of 20 fps": encoded("a.h264", fps=20),
    "raw HEVC of 20 fps": encoded("a.hevc", *QUIET_X265, fps=20),
    "begins at 100.5 s": converted("a.mkv", "-c", "copy", before=("-itsoffset", "100.5")),
    "cut without decoding": converted("a.mp4", "-c", "copy", before=("-ss", "0.53")),
    "transport stream": encoded("a.ts", *X264),
    "240 fps": encoded("a.mp4", fps=240),
    "1,000 fps": encoded("a.mp4", fps=1000),
}


def index_of(path: Path, clip: ClipSpec, out: Path) -> ClipIndex:
    return ingest(read_videos(str(path)), domain="d", clip=clip, held_out=0.25, seed=0, out=out)


def assert_same(shown: np.ndarray, expected: np.ndarray, use: str) -> None:
    """The same numbers and corners, upright, in the same proportions."""
    assert numbers_in(shown) == numbers_in(expected), use
    assert {corners_of(frame) for frame in shown} == {corners_of(frame) for frame in expected}, use
    assert shown.shape[2] / shown.shape[1] == pytest.approx(expected.shape[2] / expected.shape[1], rel=0.03), use


@pytest.mark.parametrize("case", CASES)
def test_every_use_shows_what_ffmpeg_shows(tmp_path: Path, case: str) -> None:
    path = CASES[case](tmp_path)
    expected = truth(path, SQUARE)
    assert len(expected.frames) >= 40
    height, width = expected.frames.shape[1:3]
    fps = 10.0 if expected.times_s[-1] > 1 else 8 / expected.times_s[-1]
    clip = ClipSpec(frames=6, context=2, fps=min(fps, 240), height=height, width=width, stride=1)

    index = index_of(path.parent, clip, tmp_path / "index")
    windows = [index.window("train", n) for n in range(index.count("train"))]
    assert windows
    frames, failed = Decoder(clip).decode(windows)
    assert not failed
    for window, shown in zip(windows, frames, strict=True):
        places = expected.nearest(window.start_s + np.arange(clip.frames) / clip.fps)
        assert_same(shown, expected.frames[places], "index")

    assert_same(read_video(path), expected.frames, "film strip")

    places = expected.nearest(np.arange(clip.frames) / clip.fps)
    assert_same(read_clip_file(path, clip).frames, expected.frames[places], "generate")

    generated = tmp_path / "generated" / "a.mp4"
    generated.parent.mkdir()
    ffmpeg("-i", path, "-vf", SQUARE, "-vsync", "passthrough", "-an", *X264, generated)
    pairs = matched(generated.parent, path.parent)
    for rules in (PairRules(), PairRules(fps=clip.fps)):
        clips = list(read_pairs(pairs, rules))
        assert len(clips) == 1
        ticks = np.arange(len(clips[0][1])) / clip.fps
        places = np.arange(len(expected.frames)) if rules.fps is None else expected.nearest(ticks)
        assert_same(clips[0][0].frames, expected.frames[places], f"evaluate {rules}")
        assert_same(clips[0][1], expected.frames[places], f"evaluate {rules}")


def spoil_packet(path: Path, number: int) -> tuple[int, int]:
    """Overwrite half of one packet; its number, and that of the next key frame."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[number].pos + packets[number].size // 3, packets[number].size // 2
    data[position : position + size] = bytes(size)
    path.write_bytes(bytes(data))
    return number, next(n for n in range(number + 1, len(packets)) if packets[n].is_keyframe)


@pytest.mark.parametrize("spoil", [lambda path: spoil_group(path, 2), lambda path: spoil_packet(path, 26)])
def test_damage_in_the_middle_shows_in_no_use(tmp_path: Path, spoil: Callable[[Path], tuple[int, int]]) -> None:
    path = make(tmp_path / "v" / "a.mp4", FRAMES, *X264)
    whole = truth(path)
    first, after = spoil(path)
    clip = ClipSpec(frames=4, context=2, fps=30, height=HEIGHT, width=WIDTH, stride=1)
    index = index_of(path.parent, clip, tmp_path / "index")
    windows = [index.window("train", n) for n in range(index.count("train"))]
    frames, failed = Decoder(clip).decode(windows)
    assert not failed and windows
    for window, shown in zip(windows, frames, strict=True):
        assert_same(shown, whole.frames[whole.nearest(np.asarray(window.times_s))], "index")
    seen = read_frames(path)
    assert seen.damaged == FRAMES - len(seen.frames) >= after - first
    assert not set(numbers_in(seen.frames)) & set(range(first, after))
    assert_same(seen.frames, whole.frames[whole.nearest(seen.times_s)], "film strip")
    left = read_frames(path).times_s
    shown = read_clip_file(path, clip.model_copy(update={"frames": 50})).frames
    at_rate = whole.nearest(left[nearest(left, np.arange(50) / 30)])
    assert_same(shown, whole.frames[at_rate], "generate")
    make(tmp_path / "generated" / "a.mp4", FRAMES, *X264)
    pairs = matched(tmp_path / "generated", path.parent)
    with pytest.raises(DataError, match=r"damaged frames of the real video were left out.*--fps"):
        list(read_pairs(pairs, PairRules()))
    real, generated = next(iter(read_pairs(pairs, PairRules(fps=30))))
    assert len(real.frames) == len(generated) == FRAMES
    assert_same(real.frames, whole.frames[whole.nearest(left[nearest(left, np.arange(FRAMES) / 30)])], "evaluate")
    assert_same(generated, whole.frames, "evaluate")


def test_a_change_of_frame_size_is_refused_by_name_in_every_use(tmp_path: Path) -> None:
    parts = [
        make(tmp_path / f"{width}.ts", 30, *X264, width=width, height=height).read_bytes()
        for width, height in ((192, 108), (96, 54))
    ]
    path = tmp_path / "v" / "a.ts"
    path.parent.mkdir()
    path.write_bytes(b"".join(parts))
    clip = ClipSpec(frames=40, context=2, fps=30, height=54, width=96)
    said = r"changes the size of its frames at .* from 192x108 to 96x54"
    with pytest.raises(DataError, match=said):
        index_of(path.parent, clip, tmp_path / "index")
    for use in (
        lambda: read_video(path),
        lambda: read_clip_file(path, clip),
        lambda: list(read_pairs([("a", (path,), path)], PairRules())),
    ):
        with pytest.raises(DataError, match=r"a\.ts " + said):
            use()


def test_hidden_files_and_linked_directories_are_treated_alike_in_both_directories(tmp_path: Path) -> None:
    real, generated = tmp_path / "real", tmp_path / "generated"
    make(tmp_path / "disk" / "drive" / "a.mp4", 20, *X264)
    make(generated / "drive" / "a.mp4", 20, *X264)
    real.mkdir()
    (real / "drive").symlink_to(tmp_path / "disk" / "drive")
    (tmp_path / "disk" / "drive" / "._a.mp4").write_bytes(struct.pack(">I", 0x00051607) + bytes(4092))
    (tmp_path / "disk" / "drive" / "back").symlink_to(real)
    pairs = matched(generated, real)
    assert [name for name, *_ in pairs] == ["drive/a"]
    real_clip, frames = next(iter(read_pairs(pairs, PairRules())))
    assert numbers_in(real_clip.frames) == numbers_in(frames) == list(range(20))
    assert [recording.key for recording in read_videos(str(real))] == ["drive/a.mp4"]


@pytest.mark.parametrize(("count", "fps"), [(1100, 30.0), (40, 300.0)])
def test_annotations_of_long_and_of_fast_videos(tmp_path: Path, count: int, fps: float) -> None:
    real = make(tmp_path / "real" / "a.mp4", count, *X264, fps=fps, width=96, height=54)
    make(tmp_path / "generated" / "a.mp4", count, *X264, fps=fps, width=96, height=54)
    number = np.arange(count)
    boxes = {"x1_px": number % 40, "y1_px": 5.0 + 0 * number, "x2_px": 20.0 + number % 40, "y2_px": 25.0 + 0 * number}
    write_annotations(
        annotation_directory(real),
        frames={"frame": number, "time_s": number / fps},
        objects={"frame": number, "id": np.full(count, 7), "class": ["car"] * count, **boxes},
        size=(96, 54),
    )
    clip, frames = next(iter(read_pairs(matched(tmp_path / "generated", real.parent), PairRules(size=(27, 48)))))
    assert clip.fps == pytest.approx(fps) and len(clip.frames) == len(frames) == count
    assert clip.annotations is not None and clip.annotations.boxes_px.shape == (count, 1, 4)
    assert clip.annotations.boxes_px[count - 1, 0].tolist() == [
        (count - 1) % 40 / 2,
        2.5,
        10 + (count - 1) % 40 / 2,
        12.5,
    ]


def test_frames_of_a_stalled_video_are_compared_only_by_their_times(tmp_path: Path) -> None:
    real = converted("a.mp4", *STALLED)(tmp_path)
    generated = make(tmp_path / "generated" / "a.mp4", FRAMES - 8, *X264, fps=(FRAMES - 9) / truth(real).times_s[-1])
    pairs = matched(generated.parent, real.parent)
    with pytest.raises(DataError, match=r"the rate of the real video varies.*--fps"):
        list(read_pairs(pairs, PairRules()))


def test_a_file_that_breaks_off_gives_what_is_there(tmp_path: Path) -> None:
    path = make(tmp_path / "v" / "a.mkv", FRAMES, *X264)
    os.truncate(path, path.stat().st_size * 2 // 3)
    expected: Truth = truth(path)
    seen = read_frames(path)
    assert 20 < len(seen.frames) <= len(expected.frames) < FRAMES
    assert numbers_in(seen.frames) == expected.numbers[: len(seen.frames)]
