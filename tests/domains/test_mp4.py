"""Writing mp4 files."""

from __future__ import annotations

from pathlib import Path

import av
import decord
import numpy as np
import pytest

from drivereplay.domains.mp4 import encode_video, write_video
from drivereplay.errors import DataError


def smooth_frames(count: int, height: int, width: int) -> np.ndarray:
    """A colour gradient that moves."""
    y, x = np.mgrid[:height, :width]
    frames = [np.stack([(4 * x + 3 * t) % 256, (3 * y + t) % 256, (x + y) % 256], axis=-1) for t in range(count)]
    return (np.stack(frames) // 2 + 40).astype(np.uint8)


def test_both_decoders_read_what_was_written(tmp_path: Path) -> None:
    frames = smooth_frames(30, 64, 96)
    write_video(tmp_path / "new" / "a.mp4", frames, 12.5)
    reader = decord.VideoReader(str(tmp_path / "new" / "a.mp4"))
    assert len(reader) == 30
    assert reader.get_avg_fps() == pytest.approx(12.5)
    decoded = reader.get_batch(list(range(30))).asnumpy()
    assert np.abs(decoded.astype(float) - frames).mean() < 3.0
    with av.open(str(tmp_path / "new" / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in container.decode(stream)) == 30


def test_the_same_frames_give_the_same_bytes() -> None:
    frames = smooth_frames(20, 32, 48)
    assert encode_video(frames, 8) == encode_video(iter(list(frames)), 8)
    assert encode_video(frames, 8) != encode_video(frames[::-1], 8)


def test_every_encoding_of_the_same_frames_gives_the_same_bytes() -> None:
    """x264's AVX-512 code did not; on a processor without it this passed before as well."""
    blocks = np.kron(np.random.default_rng(0).integers(0, 255, (8, 12, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    frames = np.stack([np.roll(blocks, (2 * n, 2 * n), axis=(0, 1)) for n in range(12)])
    assert len({encode_video(frames, 8) for _ in range(200)}) == 1


def test_odd_sizes_are_padded_by_their_last_row_and_column(tmp_path: Path) -> None:
    frames = smooth_frames(4, 33, 63)
    write_video(tmp_path / "a.mp4", frames, 8)
    decoded = decord.VideoReader(str(tmp_path / "a.mp4")).get_batch([0]).asnumpy()[0]
    assert decoded.shape == (34, 64, 3)
    assert np.abs(decoded[33].astype(float) - decoded[32]).mean() < 6.0


@pytest.mark.parametrize(
    "frames",
    [
        np.empty((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)],
    ],
)
def test_what_is_no_video_is_refused_and_nothing_is_written(tmp_path: Path, frames: object) -> None:
    with pytest.raises(DataError):
        write_video(tmp_path / "a.mp4", frames, 8)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
