from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError, SpecError
from drivereplay.evaluation.videos import PairRules, matched, read_clip_file, read_pairs
from drivereplay.spec import ClipSpec


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made, real = tmp_path / "made", tmp_path / "real"
    write_video(made / "a.mp4", make_clip(0).frames, 8)
    write_video(real / "a.mp4", make_clip(1, frames=12).frames, 8)
    return made, real


def _pair(made: Path, real: Path, **rules: object):  # type: ignore[no-untyped-def]
    return next(iter(read_pairs(matched(made, real), PairRules(**rules))))  # type: ignore[arg-type]


def test_other_lengths_are_refused_or_cut_when_asked(folders: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match=r"8 generated and 12 real frames.*--frames 8"):
        _pair(*folders)
    clip, frames = _pair(*folders, frames=6)
    assert clip.frames.shape == frames.shape == (6, 48, 64, 3)
    with pytest.raises(DataError, match="9 were asked for"):
        _pair(*folders, frames=9)


def test_other_rates_are_refused_or_resampled_by_time(folders: tuple[Path, Path]) -> None:
    made, real = folders
    frames = make_clip(2, frames=16).frames
    write_video(real / "a.mp4", frames, 16)
    with pytest.raises(DataError, match=r"generated at 8 fps, real at 16 fps.*--fps"):
        _pair(made, real)
    clip, other = _pair(made, real, fps=8.0)
    assert len(clip.frames) == len(other) == 8 and clip.fps == 8
    errors = [np.abs(clip.frames[3].astype(int) - frame).mean() for frame in frames]
    assert int(np.argmin(errors)) == 6


def test_sizes_follow_the_generated_video_or_what_is_asked(folders: tuple[Path, Path]) -> None:
    made, real = folders
    write_video(real / "a.mp4", make_clip(1, height=96, width=128).frames, 8)
    clip, frames = _pair(made, real)
    assert clip.frames.shape == frames.shape == (8, 48, 64, 3)
    write_video(real / "a.mp4", make_clip(1, height=48, width=128).frames, 8)
    with pytest.raises(DataError, match=r"unlike shapes.*--size"):
        _pair(made, real)
    clip, frames = _pair(made, real, size=(32, 40))
    assert clip.frames.shape == frames.shape == (8, 32, 40, 3)


def test_files_are_matched_by_name(folders: tuple[Path, Path], tmp_path: Path) -> None:
    made, real = folders
    write_video(real / "sub" / "b.mp4", make_clip(3).frames, 8)
    with pytest.raises(DataError, match=r"without counterpart: sub/b \(only in .*--partial"):
        matched(made, real)
    assert [name for name, *_ in matched(made, real, partial=True)] == ["a"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="There is no video"):
        matched(tmp_path / "empty", real)
    with pytest.raises(DataError, match="is not a directory"):
        matched(tmp_path / "nowhere", real)
    write_video(tmp_path / "others" / "z.mp4", make_clip(0).frames, 8)
    with pytest.raises(DataError, match="matched by name"):
        matched(tmp_path / "others", real)
    (made / "a.avi").write_bytes(b"x")
    with pytest.raises(DataError, match="have the same name 'a'"):
        matched(made, real)


def test_a_broken_file_is_named(folders: tuple[Path, Path]) -> None:
    made, real = folders
    (made / "a.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be decoded"):
        _pair(made, real)


@pytest.mark.parametrize("rules", [{"context": 0}, {"context": 4, "frames": 4}])
def test_impossible_rules_are_refused(rules: dict[str, int]) -> None:
    with pytest.raises(SpecError):
        PairRules(**rules)


def test_a_clip_from_the_start_of_a_file(tmp_path: Path) -> None:
    write_video(tmp_path / "in.mp4", make_clip(0, frames=4).frames, 8)
    clip = read_clip_file(tmp_path / "in.mp4", ClipSpec(frames=6, context=2, fps=8, height=32, width=32))
    assert clip.frames.shape == (6, 32, 32, 3) and (clip.frames[4] == clip.frames[3]).all()
    with pytest.raises(DataError, match="5 are needed as context"):
        read_clip_file(tmp_path / "in.mp4", ClipSpec(frames=8, context=5, fps=8, height=32, width=32))


def test_numbered_files_are_samples_of_one_clip(folders: tuple[Path, Path]) -> None:
    made, real = folders
    (made / "a.mp4").unlink()
    write_video(real / "a.mp4", make_clip(1).frames, 8)
    write_video(real / "deep" / "b.2.mp4", make_clip(2).frames, 8)  # a name may end in a number itself
    for n in (0, 2, 10):
        write_video(made / f"a.{n}.mp4", make_clip(n).frames, 8)
        write_video(made / "deep" / f"b.2.{n}.mp4", make_clip(n).frames, 8)
    found = matched(made, real)
    assert [(name, [p.name for p in ours]) for name, ours, _ in found] == [
        ("a", ["a.0.mp4", "a.2.mp4", "a.10.mp4"]), ("deep/b.2", ["b.2.0.mp4", "b.2.2.mp4", "b.2.10.mp4"]),
    ]  # fmt: skip
    clip, frames = next(iter(read_pairs(found, PairRules())))
    assert frames.shape == (3, *clip.frames.shape)
    alone = [read_pairs([(name, (path,), real)], PairRules()) for name, ours, real in found[:1] for path in ours]
    for sample, single in zip(frames, alone, strict=True):
        np.testing.assert_array_equal(sample, next(iter(single))[1])


def test_unlike_samples_are_refused(folders: tuple[Path, Path]) -> None:
    made, real = folders
    write_video(real / "a.mp4", make_clip(1).frames, 8)
    write_video(made / "a.0.mp4", make_clip(0).frames, 8)
    with pytest.raises(DataError, match="both for 'a'"):
        matched(made, real)
    (made / "a.mp4").unlink()
    write_video(made / "a.1.mp4", make_clip(0, height=96, width=128).frames, 8)
    with pytest.raises(DataError, match=r"a.1.mp4.*128x96, another sample of the clip has 64x48"):
        _pair(made, real)
    write_video(real / "b.mp4", make_clip(1).frames, 8)
    write_video(made / "b.mp4", make_clip(1).frames, 8)
    with pytest.raises(DataError, match="1 samples of 'b' and 2 of 'a'"):
        matched(made, real)


def test_the_real_frames_can_be_read_at_the_recording_s_own_size(folders: tuple[Path, Path]) -> None:
    made, real = folders
    write_video(real / "a.mp4", make_clip(1, frames=10, height=192, width=256).frames, 16)
    clip, _ = _pair(made, real, fps=8.0, frames=5)
    assert clip.larger is not None
    large = clip.larger()
    assert large.shape == (5, 192, 256, 3)
    # ours are those frames, made smaller
    smaller = np.stack([cv2.resize(frame, (64, 48), interpolation=cv2.INTER_AREA) for frame in large])
    assert np.abs(smaller.astype(int) - clip.frames).mean() < 4
    write_video(real / "a.mp4", make_clip(1).frames, 8)
    assert _pair(made, real)[0].larger is None
