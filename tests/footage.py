"""Small videos that tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivereplay.domains.mp4 import write_video


def moving_square(seed: int, frames: int, height: int = 72, width: int = 96) -> np.ndarray:
    """(T, H, W, 3) uint8: a bright square crossing a textured ground, a different way for every seed."""
    generator = np.random.default_rng(seed)
    tiles = generator.integers(40, 120, (-(-height // 8), -(-width // 8), 3))
    ground = tiles.repeat(8, 0).repeat(8, 1)[:height, :width]
    video = np.broadcast_to(ground.astype(np.uint8), (frames, height, width, 3)).copy()
    x, y = generator.integers(0, width // 2), generator.integers(0, height - 20)
    step = int(generator.integers(1, 4))
    for number in range(frames):
        left = int(x + number * step) % (width - 16)
        video[number, y : y + 16, left : left + 16] = (240, 220 - seed % 100, 60)
    return video


def write_domains(root: Path) -> Path:
    """Directories `driving`, `street` and `objects` below `root`, with real H.264 files of 40 frames at 16 a second."""
    for domain, count, first in (("driving", 6, 0), ("street", 4, 100), ("objects", 3, 200)):
        for number in range(count):
            write_video(root / domain / f"{number}.mp4", moving_square(first + number, 40), 16.0)
    return root
