"""Frames that damage may show in are left out."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from drivereplay.domains.mp4 import write_video
from drivereplay.videos.damage import SoundFrames


def sound(path: Path) -> tuple[list[float], SoundFrames, list[bool]]:
    with av.open(str(path)) as container:
        frames = SoundFrames(container, container.streams.video[0])
        seen, after = [], []
        for frame in frames:
            seen.append(float(frame.to_ndarray(format="gray").mean()))
            after.append(frames.after_damage)
        return seen, frames, after


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    """60 frames whose brightness is their number; a key frame every 12."""
    texture = np.random.default_rng(0).integers(-9, 9, (64, 64, 1))
    frames = [np.clip(np.full((64, 64, 3), 20 + 3 * n) + texture, 0, 255).astype(np.uint8) for n in range(60)]
    write_video(tmp_path / "a.mp4", np.stack(frames), 10.0)
    return tmp_path / "a.mp4"


def test_a_sound_file_loses_nothing(ramp: Path) -> None:
    seen, frames, after = sound(ramp)
    assert (len(seen), frames.damaged, frames.gop, any(after)) == (60, 0, 12, False)


@pytest.mark.parametrize("hurt", [12, 14, 30])
def test_damage_ends_at_the_next_key_frame(ramp: Path, hurt: int) -> None:
    truth, _, _ = sound(ramp)
    with av.open(str(ramp)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(ramp.read_bytes())
    position, size = packets[hurt]
    middle = position + size // 2
    data[middle : middle + size // 4] = bytes(size // 4)
    ramp.write_bytes(bytes(data))
    seen, frames, after = sound(ramp)
    next_key = (hurt // 12 + 1) * 12
    if not frames.damaged:
        # the decoder did not notice, so it changed nothing that shows: concealment is always marked
        assert len(seen) == 60
        return
    assert np.allclose(seen[-(60 - next_key) :], truth[next_key:], atol=0.5)
    first = sum(not flag for flag in after[: after.index(True)])
    assert np.allclose(seen[:first], truth[:first], atol=0.5)
    assert first <= hurt
