"""Frames of files whose seeks come down anywhere, and of files whose rate varies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
from tests.data.conftest import number_of, numbered, write_timed
from tests.data.test_fuzz import damaged

from drivereplay.errors import DataError
from drivereplay.videos import Frame
from drivereplay.videos.seeking import FramesByNumber, FramesByTime


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Files in the order in which they are opened."""
    seen: list[str] = []
    real = av.open

    def watched(path: str, *args: object) -> object:
        seen.append(path)
        return real(path, *args)

    monkeypatch.setattr(av, "open", watched)
    return seen


def shown(frame: Frame) -> int:
    return number_of(frame.rgb())


@pytest.mark.parametrize("gop", [12, 60, 250])
def test_seeks_that_come_down_late_are_made_earlier(tmp_path: Path, opened: list[str], gop: int) -> None:
    times = 10 + np.arange(300) / 30
    write_timed(tmp_path / "a.ts", numbered(300), times.tolist(), gop=gop)
    with av.open(str(tmp_path / "a.ts")) as container:
        first = next(container.decode(video=0)).time
    opened.clear()
    with closing(FramesByTime(str(tmp_path / "a.ts"))) as file:
        # the last ones lie behind the last key frame
        for number in (299, 298, 10, 200, 100, 295, 0, 170):
            assert shown(file.at(first + number / 30, 1 / 60)) == number
    assert len(opened) == 1


def test_frames_that_lie_close_where_the_rate_varies(tmp_path: Path) -> None:
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(20), 21 + np.arange(30) / 30])
    write_timed(tmp_path / "a.mkv", numbered(80), times.tolist())
    order = np.random.default_rng(0).permutation(80).tolist()
    with closing(FramesByTime(str(tmp_path / "a.mkv"))) as file:
        for number in [*order, *range(80), *range(79, -1, -1)]:
            assert shown(file.at(round(times[number], 3), 1 / 60)) == number


def test_what_is_not_there(tmp_path: Path) -> None:
    write_timed(tmp_path / "a.mp4", numbered(30), (np.arange(30) / 30).tolist())
    with closing(FramesByTime(str(tmp_path / "a.mp4"))) as file:
        for time_s in (-1.0, 0.51, 1.5, 100.0):
            with pytest.raises(DataError, match="no frame at"):
                file.at(time_s, 0.001)
        assert shown(file.at(0.5, 0.001)) == 15
    with closing(FramesByNumber(str(tmp_path / "a.mp4"))) as file:
        assert [shown(file.at(n)) for n in (29, 3, 3, 4)] == [29, 3, 3, 4]
        with pytest.raises(DataError, match="no frame 30"):
            file.at(30)


def test_what_was_read_before_does_not_show_in_a_frame(shared_data: Path, tmp_path: Path) -> None:
    """An MS-MPEG4 decoder that has not seen the first frame decodes others by some levels differently."""
    path = tmp_path / "vtest-4.avi"
    path.write_bytes(damaged((shared_data / "replay" / "street" / "vtest.avi").read_bytes(), "vtest.avi", 4))
    with closing(FramesByTime(str(path))) as file:
        file.at(1.0, 0.06)
        expected = file.at(33.0, 0.06).rgb()
    with closing(FramesByTime(str(path))) as file:
        assert (file.at(33.0, 0.06).rgb() == expected).all()
