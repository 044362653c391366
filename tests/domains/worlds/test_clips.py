"""Clips by number, rendered in memory: those that are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drivereplay.domains.mp4 import encode_video
from drivereplay.domains.worlds import WORLDS, WorldClips, render_clip, write_world
from drivereplay.errors import SpecError


@pytest.mark.parametrize("name", WORLDS)
def test_a_rendered_clip_is_the_one_that_is_written(name: str, tmp_path: Path) -> None:
    size = {"seed": 3, "frames": 3, "fps": 8.0, "height": 32, "width": 48}
    split = "both" if WORLDS[name].driving else "regular"
    recordings = write_world(tmp_path / name, name, clips=2, split=split, **size)  # type: ignore[arg-type]
    for clip, recording in enumerate(recordings):
        frames = render_clip(name, clip, split=split, **size)  # type: ignore[arg-type]
        assert frames.shape == (3, 32, 48, 3)
        # the bytes of the file, once these frames are coded
        assert Path(recording.path).read_bytes() == encode_video(frames, 8.0)


def test_numbers_have_no_end_and_differ() -> None:
    clips = WorldClips("highway", 0, "both", 2, 8.0, 32, 48)
    shown = [clips.render(number).tobytes() for number in (0, 1, 2**31, 2**31 + 1, 2**40)]
    assert len(set(shown)) == len(shown)
    assert [clips.subset(number) for number in (0, 1, 2**31, 2**31 + 1)] == ["regular", "rare-motion"] * 2
    np.testing.assert_array_equal(clips.record(2**40).frames, clips.render(2**40))


def test_impossible_clips_are_refused() -> None:
    with pytest.raises(SpecError, match="orbit has no both split"):
        render_clip("orbit", 0, frames=2, fps=8, height=32, width=48, split="both")
    with pytest.raises(SpecError, match="Did you mean 'highway'"):
        render_clip("higway", 0, frames=2, fps=8, height=32, width=48)
    with pytest.raises(SpecError, match="no clip -1"):
        render_clip("orbit", -1, frames=2, fps=8, height=32, width=48)
