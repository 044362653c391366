"""Every frame is the right one: codec × container × distance of key frames × B-frames, through every use of a file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from tests.marked import make, nearest, needs_ffmpeg, numbers_in, truth

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, ingest
from drivereplay.data.probe import probe
from drivereplay.domains.recording import Recording
from drivereplay.domains.videos import read_videos
from drivereplay.evaluation.videos import PairRules, read_clip_file, read_pairs
from drivereplay.spec import ClipSpec
from drivereplay.videos import Video, choice, read_video

pytestmark = needs_ffmpeg

FRAMES, FPS, WIDTH, HEIGHT = 270, 30, 96, 54
KEYS = "keyint={g}:min-keyint={g}:scenecut=0"
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
X264 = ("-c:v", "libx264", "-preset", "ultrafast")
ENCODERS = {
    # x265's own default
    "hevc-open": (*X265, f"log-level=error:bframes=4:{KEYS}"),
    "hevc-closed": (*X265, f"log-level=error:bframes=4:open-gop=0:{KEYS}"),
    "mpeg4": ("-c:v", "mpeg4", "-bf", "2", "-q:v", "3", "-g", "{g}"),
    "mpeg2": ("-c:v", "mpeg2video", "-bf", "2", "-b:v", "4M", "-g", "{g}"),
    "h264-open": (*X264, "-x264-params", f"open-gop=1:{KEYS}:bframes=3:b-adapt=0"),
    "h264-closed": (*X264, "-bf", "3", "-g", "{g}"),
    "h264-no-b": (*X264, "-bf", "0", "-g", "{g}"),
    "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "1", "-lag-in-frames",
            "16", "-b:v", "1M", "-g", "{g}"),
}  # fmt: skip
GROUPS = (30, 100, 250)
MATRIX = [
    *((codec, "mp4", gop) for codec in ENCODERS if codec != "vp9" for gop in GROUPS),
    *(("mpeg4", "avi", gop) for gop in GROUPS),
    *(("vp9", "webm", gop) for gop in GROUPS),
    *((codec, "mkv", 100) for codec in ("hevc-open", "mpeg4", "mpeg2", "h264-open", "h264-closed")),
]
OPEN = frozenset({"hevc-open", "mpeg4", "mpeg2", "h264-open"})
"""Encoders that put frames behind a key frame which is shown after them."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("matrix")
    made = {}
    for codec, container, gop in MATRIX:
        arguments = [text.format(g=gop) for text in ENCODERS[codec]]
        name = f"{codec}-{gop}.{container}"
        made[name] = make(root / name, FRAMES, *arguments, "-pix_fmt", "yuv420p", fps=FPS, width=WIDTH, height=HEIGHT)
    return made


@pytest.fixture(scope="module")
def truths(files: dict[str, Path]) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Times of what ffmpeg shows, and the numbers in it."""
    return {name: ((seen := truth(path)).times_s, seen.numbers) for name, path in files.items()}


@pytest.fixture(scope="module")
def clip() -> ClipSpec:
    return ClipSpec(frames=8, context=2, fps=8, height=HEIGHT, width=WIDTH, stride=4)


@pytest.fixture(scope="module")
def index(files: dict[str, Path], clip: ClipSpec, tmp_path_factory: pytest.TempPathFactory) -> ClipIndex:
    root = next(iter(files.values())).parent
    out = tmp_path_factory.mktemp("index")
    return ingest(read_videos(str(root)), domain="d", clip=clip, held_out=0.25, seed=0, out=out)


def test_the_index_gives_the_frames_that_ffmpeg_shows(
    index: ClipIndex, truths: dict[str, tuple[np.ndarray, list[int]]], clip: ClipSpec
) -> None:
    assert set(index.table["key"].to_pylist()) == set(truths)
    wrong: dict[str, int] = defaultdict(int)
    checked = 0
    windows = [index.window(split, n) for split in ("train", "evaluation") for n in range(index.count(split))]
    # all windows of a file at once, and each by itself
    for batches in ([windows], [[window] for window in windows[::3]]):
        decoder = Decoder(clip)
        for batch in batches:
            frames, failed = decoder.decode(batch)
            assert not failed
            for window, shown in zip(batch, frames, strict=True):
                times_s, numbers = truths[window.key]
                moments_s = window.start_s + np.arange(clip.frames) / clip.fps
                expected = [numbers[place] for place in nearest(times_s, moments_s)]
                wrong[window.key] += sum(a != b for a, b in zip(numbers_in(shown), expected, strict=True))
                checked += clip.frames
        decoder.close()
    assert checked > 150 * len(MATRIX)
    assert not {key: count for key, count in wrong.items() if count}


def test_evaluate_generate_and_film_strips_show_what_ffmpeg_shows(
    files: dict[str, Path], truths: dict[str, tuple[np.ndarray, list[int]]], clip: ClipSpec
) -> None:
    for name, path in files.items():
        times_s, numbers = truths[name]
        assert numbers_in(read_video(path)) == numbers, name
        at_rate = [numbers[place] for place in nearest(times_s, np.arange(clip.frames) / clip.fps)]
        assert numbers_in(read_clip_file(path, clip).frames) == at_rate, name
        real, generated = next(iter(read_pairs([(path.stem, (path,), path)], PairRules())))
        assert numbers_in(real.frames) == numbers, name
        assert numbers_in(generated) == numbers, name


def test_the_rule_and_the_check_find_open_groups_each_by_itself(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = {name: path for name, path in files.items() if "-30." not in name}

    def trusted() -> set[str]:
        found = {name: probe(Recording(key=name, path=str(path))).reader for name, path in some.items()}
        assert set(found.values()) <= {"decord", "av"}
        return {name for name, reader in found.items() if reader == "decord"}

    closed = {name for name in some if name.rpartition("-")[0] not in OPEN}
    # the rule alone: whatever decord shows is taken
    with monkeypatch.context() as patch:
        patch.setattr(choice.Samples, "alike", lambda *_: True)
        assert trusted() == closed
    # decord's frames alone, in the ways in which they are read
    monkeypatch.setattr(Video, "leading", property(lambda _: 0, lambda _, value: None), raising=False)
    assert trusted() == closed
