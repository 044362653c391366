"""Frames of windows: the right ones, whatever the reader and the order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from tests.data.conftest import frames_differ, number_of, numbered, write_timed
from tests.footage import moving_square

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, Window, ingest
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.recording import Recording
from drivereplay.domains.videos import read_videos
from drivereplay.spec import ClipSpec
from drivereplay.videos import read_video

CLIP = ClipSpec(frames=6, context=2, fps=10, height=36, width=48, stride=2)


@pytest.fixture
def index(tmp_path: Path) -> ClipIndex:
    for number in range(3):
        write_video(tmp_path / "videos" / f"{number}.mp4", moving_square(number, 40), 10.0)
    found = read_videos(str(tmp_path / "videos"))
    return ingest(found, domain="d", clip=CLIP, held_out=0.3, seed=0, out=tmp_path / "index")


def all_windows(index: ClipIndex) -> list[Window]:
    return [index.window("train", n) for n in range(index.count("train"))]


@pytest.mark.parametrize("reader", ["decord", "av", "count"])
def test_every_window_holds_its_frames(index: ClipIndex, reader: str) -> None:
    windows = [replace(window, reader=reader) for window in all_windows(index)]
    order = np.random.default_rng(0).permutation(len(windows))
    decoder = Decoder(CLIP)
    whole = {w.path: read_video(w.path, CLIP) for w in windows}
    for part in np.array_split(order, 3):
        frames, failed = decoder.decode([windows[n] for n in part])
        assert not failed
        for k, n in enumerate(part):
            window = windows[n]
            for got, number in zip(frames[k], window.frames, strict=True):
                truth = whole[window.path]
                assert frames_differ(got, truth[number]) < 1.5
                if number + 1 < len(truth) and frames_differ(truth[number], truth[number + 1]) > 3:
                    assert frames_differ(got, truth[number + 1]) > frames_differ(got, truth[number])


def flat(levels: range) -> np.ndarray:
    """(T, 36, 48, 3): a grey picture for each level, so that a picture says which one it is."""
    return np.stack([np.full((36, 48, 3), level, np.uint8) for level in levels])


def scenes(root: Path) -> list[Recording]:
    """Two image sequences below one directory, as nuScenes has them."""
    root.mkdir()
    found = []
    for scene, first in (("a", 20), ("b", 140)):
        names = tuple(f"{scene}{n}.png" for n in range(10))
        for name, picture in zip(names, flat(range(first, first + 100, 10)), strict=True):
            cv2.imwrite(str(root / name), picture)
        found.append(Recording(key=scene, path=str(root), images=names, fps=10.0, split="train"))
    return found


def episodes(root: Path) -> list[Recording]:
    """Two recordings in one file, as LeRobot has them."""
    write_video(root / "file.mp4", np.concatenate([flat(range(20, 120, 10)), flat(range(140, 240, 10))]), 10.0)
    return [
        Recording(key=key, path=str(root / "file.mp4"), part_s=part, split="train")
        for key, part in (("a", (0.0, 1.0)), ("b", (1.0, 2.0)))
    ]


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("made", [scenes, episodes])
@pytest.mark.parametrize("together", [True, False])
def test_recordings_that_share_a_path_keep_their_own_pictures(
    tmp_path: Path, made: Callable[[Path], list[Recording]], together: bool, share: bool
) -> None:
    index = ingest(made(tmp_path / "v"), domain="d", clip=CLIP, held_out=0.3, seed=0, out=tmp_path / "index")
    windows = all_windows(index)
    assert {window.key for window in windows} == {"a", "b"}
    decoder = Decoder(CLIP, share=share)
    parts = [windows] if together else [[window] for window in windows]
    decoded = [decoder.decode(part) for part in parts]
    assert not any(failed for _, failed in decoded)
    for window, frames in zip(windows, np.concatenate([frames for frames, _ in decoded]), strict=True):
        expected = [(20 if window.key == "a" else 140) + 10 * number for number in window.frames]
        assert np.abs(frames.mean(axis=(1, 2, 3)) - expected).max() < 4


def test_two_cameras_below_one_path_keep_their_own_pictures(tmp_path: Path) -> None:
    first, second = (replace(scene, key="scene") for scene in scenes(tmp_path / "v"))
    windows = []
    for name, scene in (("one", first), ("two", second)):
        index = ingest([scene], domain="d", clip=CLIP, held_out=0.3, seed=0, out=tmp_path / name)
        windows.append(index.window("train", 0))
    decoder = Decoder(CLIP, share=True)
    levels = [decoder.decode([window])[0][0, 0].mean() for window in windows]
    assert levels == pytest.approx([20, 140], abs=1)


def test_decoders_share_what_one_has_decoded(index: ClipIndex, tmp_path: Path) -> None:
    windows = all_windows(index)
    alone, _ = Decoder(CLIP).decode(windows)
    first = Decoder(CLIP, share=True)
    assert np.array_equal(first.decode(windows)[0], alone)
    # without the files there is only what the first one has decoded
    (tmp_path / "videos").rename(tmp_path / "away")
    frames, failed = Decoder(CLIP, share=True).decode(windows)
    assert not failed and np.array_equal(frames, alone)
    assert len(Decoder(CLIP).decode(windows)[1]) == len(windows)
    assert len(Decoder(CLIP.model_copy(update={"resize": "stretch"}), share=True).decode(windows)[1]) == len(windows)


def test_an_image_that_was_replaced_is_not_taken_from_another_run(tmp_path: Path) -> None:
    index = ingest(scenes(tmp_path / "v")[:1], domain="d", clip=CLIP, held_out=0.3, seed=0, out=tmp_path / "index")
    window = all_windows(index)[0]
    first = Decoder(CLIP, share=True)
    assert first.decode([window])[0].max() < 200
    changed = tmp_path / "v" / window.images[0]
    cv2.imwrite(str(changed), np.full((36, 48, 3), 250, np.uint8))
    os.utime(changed, (0, 0))
    frames = Decoder(CLIP, share=True).decode([window])[0][0]
    assert frames[0].min() == 250 and frames[1].max() < 200


def test_where_nothing_can_be_shared_each_remembers_its_own(index: ClipIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    windows = all_windows(index)
    monkeypatch.delattr("os.memfd_create")
    frames, failed = Decoder(CLIP, share=True).decode(windows)
    assert not failed and np.array_equal(frames, Decoder(CLIP).decode(windows)[0])


def test_frames_that_lie_close_where_the_rate_varies(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(20), 21 + np.arange(30) / 30])
    write_timed(tmp_path / "a.mkv", numbered(80), times.tolist())
    clip = ClipSpec(frames=4, context=1, fps=30, height=36, width=80, stride=3)
    found = [Recording(key="a", path=str(tmp_path / "a.mkv"), split="train")]
    index = ingest(found, domain="d", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index")
    for window in all_windows(index):
        frames, failed = Decoder(clip).decode([replace(window, reader="av")])
        assert not failed
        assert [number_of(picture) for picture in frames[0]] == list(window.frames)


@pytest.mark.parametrize("reader", ["decord", "av", "count"])
def test_pixels_that_are_not_square_are_made_so(tmp_path: Path, reader: str) -> None:
    # a square in the file, 2 : 1 when it is shown
    path, picture = tmp_path / "v" / "a.mp4", np.full((64, 64, 3), 40, np.uint8)
    picture[16:48, 16:48] = 220
    path.parent.mkdir()
    write_timed(path, np.stack([picture] * 12), (np.arange(12) / 10).tolist(), pixel_aspect=Fraction(2))
    clip = ClipSpec(frames=4, context=1, fps=10, height=32, width=64)
    found = [Recording(key="a", path=str(path), split="train")]
    window = ingest(found, domain="d", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index").window("train", 0)
    assert window.source_size == (128, 64)
    (frames,), failed = Decoder(clip).decode([replace(window, reader=reader)])
    assert not failed
    bright = frames[0, ..., 1] > 128
    assert [int(bright.any(axis=axis).sum()) for axis in (0, 1)] == pytest.approx([32, 16], abs=2)
    assert read_video(path, clip).shape[1:3] == (32, 64) and read_video(path).shape[1:3] == (64, 128)


def test_readers_agree(index: ClipIndex) -> None:
    windows = all_windows(index)[:10]
    pictures = [Decoder(CLIP).decode([replace(w, reader=r) for w in windows])[0] for r in ("decord", "av", "count")]
    assert frames_differ(pictures[0], pictures[1]) < 2
    assert np.array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize("width", [8, 12, 16, 17, 24, 40, 48, 57, 72, 96])
@pytest.mark.parametrize("resize", ["crop", "stretch"])
def test_every_size_can_be_decoded(index: ClipIndex, width: int, resize: str) -> None:
    clip = CLIP.model_copy(update={"width": width, "height": 24, "resize": resize})
    window = all_windows(index)[0]
    frames = {reader: Decoder(clip).decode([replace(window, reader=reader)]) for reader in ("decord", "av")}
    for pictures, failed in frames.values():
        assert not failed
        assert pictures.shape == (1, 6, 24, width, 3)
    assert frames_differ(frames["decord"][0], frames["av"][0]) < 4


def test_one_bad_window_does_not_spoil_the_others(index: ClipIndex) -> None:
    windows = all_windows(index)
    broken = replace(windows[1], frames=(900,) * 6, times_s=(90.0,) * 6)
    for reader in ("decord", "av", "count"):
        mixed = [replace(w, reader=reader) for w in (windows[0], broken, windows[2])]
        frames, failed = Decoder(CLIP).decode(mixed)
        assert list(failed) == [1]
        good, _ = Decoder(CLIP).decode([mixed[0], mixed[2]])
        assert np.array_equal(frames[[0, 2]], good)


def test_a_file_that_changed_or_vanished(index: ClipIndex) -> None:
    windows = all_windows(index)
    path = Path(windows[0].path)
    write_video(path, moving_square(77, 40), 10.0)
    others = [w for w in windows if w.path != str(path)]
    frames, failed = Decoder(CLIP).decode([windows[0], others[0]])
    assert failed == {0: "has changed since it was ingested"}
    assert frames[1].any()
    path.unlink()
    assert "vanished" in Decoder(CLIP).decode([windows[0]])[1][0]


@pytest.mark.parametrize(
    ("limits", "left"), [({"open_files": 1}, 1), ({"open_bytes": 150_000}, 1), ({"open_bytes": 400_000}, 2)]
)
def test_files_are_closed_beyond_the_limit(index: ClipIndex, limits: dict[str, int], left: int) -> None:
    decoder = Decoder(CLIP, **limits)
    windows = all_windows(index)
    first, second = (next(w for w in windows if w.path == p) for p in sorted({w.path for w in windows})[:2])
    once = decoder.decode([first])[0]
    decoder.decode([second])
    # an open file is thought to hold its bytes and 8 pictures of 96 × 72: some 90 kB
    assert len(decoder._readers) == left
    decoder._remembered = type(decoder._remembered)(0)
    assert np.array_equal(decoder.decode([first])[0], once)
    decoder.close()
    assert not decoder._readers


def test_rotated_video_is_shown_upright(tmp_path: Path) -> None:
    upright = moving_square(2, 30, 96, 72)
    write_video(tmp_path / "plain.mp4", np.rot90(upright, 1, axes=(1, 2)).copy(), 10.0)
    (tmp_path / "v").mkdir()
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(tmp_path / "v" / "turned.mp4"), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    data = bytearray((tmp_path / "v" / "turned.mp4").read_bytes())
    # the track header's matrix: identity becomes a quarter turn
    one, zero, minus = b"\x00\x01\x00\x00", b"\x00\x00\x00\x00", b"\xff\xff\x00\x00"
    identity = one + zero * 3 + one
    place = data.index(identity, data.index(b"tkhd"))
    data[place : place + 20] = zero + one + zero + minus + zero
    (tmp_path / "v" / "turned.mp4").write_bytes(bytes(data))
    clip = ClipSpec(frames=6, context=2, fps=10, height=48, width=36)
    found = [Recording(key="turned", path=str(tmp_path / "v" / "turned.mp4"), split="train")]
    index = ingest(found, domain="d", clip=clip, held_out=0.3, seed=0, out=tmp_path / "index")
    window = index.window("train", 0)
    assert window.source_size == (72, 96)
    frames, failed = Decoder(clip).decode([window])
    assert not failed
    expected = np.stack([cv2.resize(upright[n], (36, 48), interpolation=cv2.INTER_AREA) for n in window.frames])
    assert frames_differ(frames[0], expected) < 8
    assert frames_differ(frames[0], expected[:, ::-1, ::-1]) > 15
