"""Damaged copies of every real clip: nothing hangs, nothing crashes, no wrong frame is taken."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from drivereplay.data.decode import Decoder
from drivereplay.data.index import ClipIndex, Window, ingest
from drivereplay.domains.recording import Recording
from drivereplay.errors import DataError
from drivereplay.spec import ClipSpec

CLIP = ClipSpec(frames=4, context=1, fps=5, height=36, width=64, resize="stretch", stride=40)
COPIES = 9


def damaged(data: bytes, name: str, kind: int) -> bytes:
    """One of 9 kinds of damage, the same every time: three are cut short, five have flipped bits, one lost 2 kB."""
    generator = np.random.default_rng(zlib.crc32(f"{name}-{kind}".encode()))
    if kind < 3:
        return data[: int(len(data) * (0.2, 0.6, 0.95)[kind])]
    changed = bytearray(data)
    if kind == 8:
        place = int(generator.integers(min(4096, len(changed) // 2), len(changed) - 2048))
        changed[place : place + 2048] = bytes(2048)
        return bytes(changed)
    for _ in range((1, 10, 100, 1000, 10)[kind - 3]):
        # the last kind leaves the head alone, so that more than the container's index is hit
        low = 4096 if kind == 7 else 0
        place = int(generator.integers(low, len(changed)))
        changed[place] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def windows_of(index: ClipIndex) -> list:
    return [index.window(split, n) for split in ("train", "evaluation") for n in range(index.count(split))]


@dataclass(frozen=True)
class Truth:
    """An undamaged clip: its pictures (N, 36, 64, 3) and their times (N,) in seconds."""

    pictures: NDArray[np.int16]
    times_s: NDArray[np.float64]

    @classmethod
    def of(cls, path: Path) -> Truth:
        pictures, times = [], []
        with av.open(str(path)) as container:
            stream = container.streams.best("video")
            rate = float(stream.average_rate)
            for frame in container.decode(stream):
                small = frame.reformat(CLIP.width, CLIP.height, "rgb24", interpolation="AREA")
                pictures.append(small.to_ndarray().astype(np.int16))
                times.append(frame.time)
        if None in times or not (np.diff(times) > 0).all():
            times = [n / rate for n in range(len(pictures))]
        return cls(np.stack(pictures), np.asarray(times, float))

    def other_times(self, window: Window, frames: NDArray[np.uint8]) -> list[float]:
        """Times in a window at which it clearly shows what the clip shows at another time.

        Where times cannot be trusted and frames are counted, the first seconds may be missing; what follows must still
        be in step.
        """
        apart = np.abs(self.pictures[None] - frames[:, None].astype(np.int16)).mean(axis=(2, 3, 4))
        times = np.asarray(window.times_s)
        late = np.median(self.times_s[apart.argmin(axis=1)] - times) if window.reader == "count" else 0.0
        near = np.abs(self.times_s - (times + late)[:, None]) <= 3.5 * np.median(np.diff(self.times_s))
        here = np.where(near, apart, np.inf).min(axis=1)
        return times[here > 2 + 1.5 * apart.min(axis=1)].tolist()  # type: ignore[no-any-return]


def test_a_picture_of_another_time_is_seen(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "replay" / "classic" / "bikes.mp4"
    truth = Truth.of(path)
    found = [Recording(key="a", path=str(path), split="train")]
    index = ingest(found, domain="d", clip=CLIP, held_out=0.0, seed=0, out=tmp_path / "index")
    window = index.window("train", 0)
    frames = Decoder(CLIP).decode([window])[0][0]
    assert truth.other_times(window, frames) == []
    assert truth.other_times(window, frames[::-1]) != []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("ray_session")
def test_damaged_copies_of_every_clip(shared_data: Path, tmp_path: Path) -> None:
    clips = sorted(p for p in shared_data.rglob("*") if p.suffix in (".mp4", ".mkv", ".avi"))
    recordings = []
    for clip in clips:
        data = clip.read_bytes()
        for kind in range(COPIES):
            path = tmp_path / f"{clip.stem}-{kind}{clip.suffix}"
            path.write_bytes(damaged(data, clip.name, kind))
            recordings.append(Recording(key=path.name, path=str(path), group=clip.stem, split="train"))
    assert len(recordings) >= 200
    index = ingest(recordings, domain="fuzz", clip=CLIP, held_out=0.2, seed=0, out=tmp_path / "index")
    known = index.report.set_aside
    assert index.report.videos + len(known) == len(recordings)
    assert known and all(known.values())
    truths: dict[str, Truth] = {}
    decoder = Decoder(CLIP)
    checked = 0
    for window in windows_of(index):
        once, failed = decoder.decode([window])
        if failed:
            continue
        # what was accepted comes out the same by way of another process state and another order
        again, _ = Decoder(CLIP).decode([window])
        assert hashlib.sha256(once).digest() == hashlib.sha256(again).digest(), window.name
        stem = window.key.rsplit("-", 1)[0]
        if stem not in truths:
            truths[stem] = Truth.of(next(clip for clip in clips if clip.stem == stem))
        assert truths[stem].other_times(window, once[0]) == [], window
        checked += 1
    assert checked > 200


@pytest.mark.parametrize("kind", range(COPIES))
def test_damage_never_shows_as_another_frame(tmp_path: Path, kind: int) -> None:
    """Frames carry their number as a brightness, so a wrong one is seen at once."""
    from drivereplay.domains.mp4 import write_video

    ramp = np.stack([np.full((64, 64, 3), 20 + 4 * n, np.uint8) for n in range(50)])
    texture = np.random.default_rng(0).integers(-15, 15, (64, 64, 1))
    ramp = np.clip(ramp + texture, 0, 255).astype(np.uint8)
    write_video(tmp_path / "a.mp4", ramp, 5.0)
    path = tmp_path / "b.mp4"
    path.write_bytes(damaged((tmp_path / "a.mp4").read_bytes(), "ramp", kind))
    found = [Recording(key="b", path=str(path), split="train")]
    try:
        index = ingest(found, domain="d", clip=CLIP, held_out=0.2, seed=0, out=tmp_path / "index")
    except DataError:
        return  # it was set aside as a whole
    checked = 0
    for window in windows_of(index):
        frames, failed = Decoder(CLIP).decode([window])
        if failed:
            continue
        levels = frames[0].mean(axis=(1, 2, 3))
        times = np.asarray(window.times_s)
        # brightness says when a picture was taken; a picture that shows another time is a wrong one
        assert np.abs((levels - 20) / 4 - times * 5).max() < 3, (window.times_s, levels)
        checked += 1
    assert checked or index.report.set_aside
