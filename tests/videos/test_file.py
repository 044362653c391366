"""Opening a file: its stream, its rate, and how it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.domains.miniature import turn_left
from tests.footage import moving_square

from drivereplay.domains.mp4 import write_video
from drivereplay.errors import DataError
from drivereplay.videos import open_video


def test_size_and_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(0, 8), 12.5)
    with open_video(tmp_path / "a.mp4") as video:
        assert (video.size, video.pixel_size, video.fps) == ((96, 72), (96, 72), 12.5)


def test_a_video_that_is_shown_on_its_side(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving_square(0, 8), 10)
    turn_left(tmp_path / "a.mp4")
    with open_video(tmp_path / "a.mp4") as video:
        assert video.size == (72, 96)
        assert next(video.frames()).rgb().shape == (96, 72, 3)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_video(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match="cannot be decoded"):
        open_video(tmp_path / "a.mp4")
