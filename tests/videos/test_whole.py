"""Reading and writing whole videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.conftest import frames_differ
from tests.footage import moving_square

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ingest
from drivereplay.domains.mp4 import write_video
from drivereplay.domains.videos import read_videos
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec
from drivereplay.videos import read_frames, read_video


def test_what_is_written_is_read(tmp_path: Path) -> None:
    frames = moving_square(0, 20)
    write_video(tmp_path / "a.mp4", frames, 12.5)
    back = read_video(tmp_path / "a.mp4")
    assert back.shape == frames.shape
    assert frames_differ(back, frames) < 6
    assert read_frames(tmp_path / "a.mp4").fps == pytest.approx(12.5)
    assert len(read_video(tmp_path / "a.mp4", most=7)) == 7


@pytest.mark.parametrize(("source", "target"), [(8.0, 8.0), (25.0, 8.0), (10.0, 30.0), (8.0, 5.0)])
def test_rate_and_size_are_those_of_the_index(tmp_path: Path, source: float, target: float) -> None:
    """Reading a whole file at a clip's rate gives the frames that a window from its start has."""
    write_video(tmp_path / "v" / "a.mp4", moving_square(1, 40), source)
    clip = ClipSpec(frames=4, context=1, fps=target, height=36, width=40)
    index = ingest(read_videos(str(tmp_path / "v")), domain="d", clip=clip, held_out=0.2, seed=0, out=tmp_path / "i")
    expected = Decoder(clip).decode([index.window("train", 0)])[0][0]
    assert frames_differ(read_video(tmp_path / "v" / "a.mp4", clip, fps=target, most=4), expected) < 2


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be decoded"):
        read_video(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"missing\.mp4 cannot be decoded"):
        read_video(tmp_path / "missing.mp4")


def test_values_survive(tmp_path: Path) -> None:
    write_video(tmp_path / "grey.mp4", np.full((3, 32, 32, 3), 128, np.uint8), 5.0)
    assert np.abs(read_video(tmp_path / "grey.mp4").astype(int) - 128).max() <= 2
