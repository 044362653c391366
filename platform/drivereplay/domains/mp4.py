"""Writing H.264 mp4 files whose bytes depend on nothing but the frames."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.whole import write_whole
from drivereplay.errors import DataError

# one thread: x264's frame threads make the rate control, and so the bytes, depend on the machine
_X264 = {"preset": "veryfast", "crf": "18", "g": "12", "threads": "1"}
# x264's AVX-512 code gives other bytes for the same frames now and then (8 times in 150)
_WITHOUT_AVX512 = {"x264-params": "asm=avx2"}


def write_video(path: str | Path, frames: NDArray[np.uint8] | Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Write frames as an H.264 mp4 (yuv420p), all of the file or nothing of it.

    Args:
        path: The file; its directory is made.
        frames: (T, H, W, 3) uint8 RGB, or an iterable of (H, W, 3). Odd sizes are padded by their last row or column.
        fps: Frames per second.

    Raises:
        DataError: There are no frames, or they are no RGB pictures of one size.
        OSError: The file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    data = encode_video(frames, fps)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data)


def encode_video(frames: NDArray[np.uint8] | Iterable[NDArray[np.uint8]], fps: float) -> bytes:
    """The bytes of the file that `write_video` writes; the same frames give the same bytes.

    Raises:
        DataError: There are no frames, or they are no RGB pictures of one size.
    """
    import av

    # in memory, so that a full disk shows as a plain OSError of one write and not inside the muxer
    buffer = io.BytesIO()
    shape: tuple[int, ...] | None = None
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        for frame in frames:
            if shape is None:
                shape = _checked(frame)
                stream.height, stream.width = (side + side % 2 for side in shape[:2])
                stream.pix_fmt = "yuv420p"
                stream.codec_context.options = {**_X264, **(_WITHOUT_AVX512 if _has_avx512() else {})}
                stream.codec_context.thread_count = 1
            elif frame.shape != shape:
                raise DataError(f"A video's frames must have one size: got {frame.shape} after {shape}.")
            picture = av.VideoFrame.from_ndarray(_even(frame), format="rgb24")
            container.mux(stream.encode(picture))
        if shape is None:
            raise DataError("A video needs at least one frame, got none.")
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _has_avx512() -> bool:
    import pyarrow

    # what the processor can do, whatever Arrow itself was told to use
    return bool(pyarrow.runtime_info().detected_simd_level == "avx512")


def _checked(frame: NDArray[np.uint8]) -> tuple[int, ...]:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise DataError(f"A frame must be (height, width, 3) uint8, got {frame.shape} {frame.dtype}.")
    return tuple(frame.shape)


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
