"""Videos whose frames carry their number, made and read by ffmpeg's command line: the reference for all readers."""

from __future__ import annotations

import functools
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

BITS = 12
_BLACK, _WHITE, _GREY = 0, 255, 90
_CORNERS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "W": (255, 255, 255)}

needs_ffmpeg = pytest.mark.skipif(
    shutil.which("ffmpeg") is None, reason="the reference is ffmpeg's command line, which is not installed here"
)


def marked(number: int, width: int = 192, height: int = 108) -> np.ndarray:
    """(height, width, 3) uint8 RGB: the number in 12 black or white blocks, a stripe that moves, and corners that are
    red, green (above), blue and white (below)."""
    frame = np.full((height, width, 3), _GREY, np.uint8)
    side = height // 5
    top, bottom, left, right = slice(side), slice(height - side, height), slice(side), slice(width - side, width)
    for name, (rows, columns) in {
        "R": (top, left), "G": (top, right), "B": (bottom, left), "W": (bottom, right)
    }.items():  # fmt: skip
        frame[rows, columns] = _CORNERS[name]
    block = width // BITS
    for bit in range(BITS):
        level = _WHITE if number >> bit & 1 else _BLACK
        frame[height * 3 // 8 : height * 5 // 8, bit * block : (bit + 1) * block] = level
    stripe = number * 7 % width
    frame[height * 2 // 3 : height * 4 // 5, stripe : stripe + width // 16] = (255, 255, 0)
    return frame


def numbers_in(frames: np.ndarray) -> list[int]:
    """The numbers that upright frames (T, H, W, 3) of `marked` carry, at any size."""
    height, width = frames.shape[1:3]
    block = width / BITS
    rows = frames[:, height * 7 // 16 : height * 9 // 16]
    numbers = np.zeros(len(frames), np.int64)
    for bit in range(BITS):
        first = int((bit + 0.3) * block)
        middle = rows[:, :, first : max(int((bit + 0.7) * block), first + 1)]
        numbers |= (middle.mean(axis=(1, 2, 3)) > 128).astype(np.int64) << bit
    return [int(number) for number in numbers]


def corners_of(frame: np.ndarray) -> str:
    """Colours of a frame's corners: `RGBW` where it is upright. Read top left, top right, bottom left, bottom right."""
    side = max(1, min(frame.shape[:2]) // 12)
    patches = (frame[:side, :side], frame[:side, -side:], frame[-side:, :side], frame[-side:, -side:])
    names = list(_CORNERS)
    colours = np.array(list(_CORNERS.values()), dtype=float)
    means = [patch.reshape(-1, 3).mean(axis=0) for patch in patches]
    return "".join(names[int(np.abs(colours - mean).sum(axis=1).argmin())] for mean in means)


def ffmpeg(*arguments: object, data: bytes | None = None) -> None:
    """Run the command line; it must succeed."""
    command = ["ffmpeg", "-y", "-hide_banner", "-loglevel", "error", *map(str, arguments)]
    run = subprocess.run(command, check=False, input=data, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()[-1000:]


@functools.lru_cache(maxsize=4)
def _raw(first: int, count: int, width: int, height: int) -> bytes:
    return b"".join(marked(n, width, height).tobytes() for n in range(first, first + count))


def make(
    path: Path,
    count: int,
    *arguments: object,
    fps: float = 30,
    first: int = 0,
    width: int = 192,
    height: int = 108,
) -> Path:
    """Encode frames `first` … of `marked` with these arguments of the command line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-")
    ffmpeg(*pixels, *arguments, path, data=_raw(first, count, width, height))
    return path


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", 12, "-pix_fmt", "yuv420p", "-crf", 12)


@dataclass(frozen=True)
class Truth:
    """What the command line shows of a file.

    Attributes:
        times_s: (T,) presentation times from the first frame.
        frames: (T, H, W, 3) uint8 RGB, turned as the display matrix says.
    """

    times_s: np.ndarray
    frames: np.ndarray

    def nearest(self, moments_s: np.ndarray) -> np.ndarray:
        """Places of the frames nearest to moments, the earlier one of two equally near."""
        return nearest(self.times_s, moments_s)

    @property
    def numbers(self) -> list[int]:
        """The number in each frame."""
        return numbers_in(self.frames)


def nearest(times_s: np.ndarray, moments_s: np.ndarray) -> np.ndarray:
    """Places of the times nearest to moments, the earlier one of two equally near (up to the rounding of times)."""
    apart = times_s - moments_s[:, None]
    return (np.abs(apart) + 1e-5 * (apart > 0)).argmin(axis=1)


def show_as(source: Path, target: Path, matrix: tuple[int, int, int, int, int, int]) -> Path:
    """A copy of an mp4 file with another display matrix: a, b, c, d, x, y of ISO/IEC 14496-12's track header."""
    data = bytearray(source.read_bytes())
    start = data.index(b"tkhd") + 4
    start += 4 + (32 if data[start] else 20) + 16
    a, b, c, d, x, y = (value << 16 for value in matrix)
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, x, y, 1 << 30)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bytes(data))
    return target


def truth(path: Path, *filters: str) -> Truth:
    """Decode with the command line, each frame once; with further video filters."""
    chain = ",".join((*filters, "showinfo"))
    command = ["ffmpeg", "-hide_banner", "-i", str(path), "-vf", chain, "-vsync", "passthrough"]
    run = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], check=False, capture_output=True)
    said = run.stderr.decode(errors="replace")
    size = re.search(r"Video: rawvideo.*?, (\d+)x(\d+)", said)
    assert size, said[-1000:]
    width, height = int(size[1]), int(size[2])
    frames = np.frombuffer(run.stdout, np.uint8).reshape(-1, height, width, 3)
    times = np.array([float(text) for text in re.findall(r"pts_time:\s*(-?[\d.]+)", said)])
    return Truth(times[: len(frames)] - times[0], frames)
