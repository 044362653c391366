"""Animated pictures of videos, for the image tab of any TensorBoard."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

LEAST_HEIGHT_PX = 128
GAP_PX = 4


def side_by_side(*videos: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Videos (T, H, W, 3) of one height in one picture (T, H, ΣW + gaps, 3); the shortest decides T."""
    count = min(len(video) for video in videos)
    gap = np.full((count, videos[0].shape[1], GAP_PX, 3), 255, np.uint8)
    parts = [videos[0][:count]]
    for video in videos[1:]:
        parts += [gap, video[:count]]
    return np.concatenate(parts, axis=2)


def gif(frames: NDArray[np.uint8], fps: float) -> bytes:
    """An endless GIF of (T, H, W, 3) uint8 frames; small ones are enlarged by a whole factor, pixel by pixel."""
    from PIL import Image

    factor = max(1, -(-LEAST_HEIGHT_PX // frames.shape[1]))
    large = frames.repeat(factor, axis=1).repeat(factor, axis=2)
    pictures = [Image.fromarray(frame) for frame in large]
    buffer = io.BytesIO()
    # the format counts in hundredths of a second
    duration_ms = max(20, round(100.0 / fps) * 10)
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=duration_ms, loop=0)
    return buffer.getvalue()
