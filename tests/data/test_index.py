"""The clip index: numbering, windows, opening, buffers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivereplay.data.index import ClipIndex, ingest
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

CLIP = ClipSpec(frames=8, context=2, fps=8, height=32, width=48)


@pytest.fixture
def index(footage: dict[str, Path], tmp_path: Path) -> ClipIndex:
    return ingest(
        read_videos(str(footage["driving"])), domain="driving", clip=CLIP, held_out=0.25, seed=0, out=tmp_path / "index"
    )


def test_every_clip_is_found_once(index: ClipIndex) -> None:
    windows = [index.window(split, n) for split in ("train", "evaluation") for n in range(index.count(split))]
    # 40, 32 and 24 frames at 8 fps, windows of 8 every 4: 9 + 7 + 5
    assert len(windows) == 21
    assert len({w.name for w in windows}) == 21
    for window in windows:
        first = round(window.start_s * 8)
        assert window.frames == tuple(range(first, first + 8))
        assert window.source_size == (96, 72)
        assert window.domain == "driving"


def test_train_and_evaluation_share_no_video(index: ClipIndex) -> None:
    train, held_out = set(index.videos("train")), set(index.videos("evaluation"))
    assert train and held_out and not train & held_out
    assert {index.window("train", n).key for n in range(index.count("train"))} == train


def test_opening_gives_the_same(index: ClipIndex) -> None:
    again = ClipIndex.open(index.path)
    assert again.count("train") == index.count("train")
    assert [again.window("train", n) for n in range(5)] == [index.window("train", n) for n in range(5)]
    assert again.report == index.report
    assert "driving: 3 videos" in again.report.summary()


@pytest.mark.parametrize("n", [-1, 10_000])
def test_clips_that_do_not_exist(index: ClipIndex, n: int) -> None:
    with pytest.raises(DataError, match="there is no clip"):
        index.window("train", n)


def test_a_damaged_index(index: ClipIndex, tmp_path: Path) -> None:
    (tmp_path / "index" / "videos.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="no readable clip index"):
        ClipIndex.open(tmp_path / "index")
    with pytest.raises(DataError, match="no readable clip index"):
        ClipIndex.open(tmp_path / "nowhere")


def test_kept_clips_are_renumbered(index: ClipIndex) -> None:
    kept = index.kept(np.array([1, 4, 6]))
    assert kept.count("train") == 3
    assert [kept.window("train", n) for n in range(3)] == [index.window("train", n) for n in (1, 4, 6)]
    assert kept.numbers(np.array([0, 2])).tolist() == [1, 6]
    assert kept.count("evaluation") == index.count("evaluation")
    assert kept.total == index.count("train")
