from __future__ import annotations

from pathlib import Path

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
