"""The size and the rate of a video."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.domains.miniature import FPS, HEIGHT, WIDTH, Drive, turn_left

from drivereplay.domains.shown import Shown, shown
from drivereplay.errors import DataError


def test_size_and_rate(truth: Drive) -> None:
    assert shown(truth.video) == Shown((WIDTH, HEIGHT), FPS)


def test_a_video_that_is_shown_on_its_side(truth: Drive, tmp_path: Path) -> None:
    video = tmp_path / "a.mp4"
    video.write_bytes(truth.video.read_bytes())
    turn_left(video)
    assert shown(video) == Shown((HEIGHT, WIDTH), FPS)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_video(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read"):
        shown(tmp_path / "a.mp4")
