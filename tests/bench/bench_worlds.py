"""How many frames per second one core writes of every world: simulation, rendering, annotations, encoding, files.

`python tests/bench/bench_worlds.py [FRAMES] [WORLD ...]` prints a table. Time is CPU time of this process, the best of
three, so that what else runs on the machine matters little (shared caches still do).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2

from drivereplay.domains.worlds import WORLDS, write_world

REPEATS, CLIPS = 3, 3


def seconds_per_clip(world: str, frames: int, height: int, width: int) -> float:
    """Best CPU time of one clip, directory and all."""
    best = float("inf")
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as directory:
            start = time.process_time()
            write_world(
                Path(directory) / world, world, clips=CLIPS, seed=1, frames=frames, fps=8, height=height, width=width
            )
            best = min(best, (time.process_time() - start) / CLIPS)
    return best


def main(arguments: list[str]) -> None:
    """Print the table."""
    frames = int(arguments[0]) if arguments else 48
    cv2.setNumThreads(1)
    sizes = ((96, 160), (64, 96), (32, 48))
    print(f"| world | {' | '.join(f'{h}×{w}' for h, w in sizes)} |")
    print("| --- | " + "--- | " * len(sizes))
    for world in arguments[1:] or WORLDS:
        # textures and bodies are made once per process
        seconds_per_clip(world, 2, 32, 48)
        rates = [f"{frames / seconds_per_clip(world, frames, h, w):.0f}" for h, w in sizes]
        print(f"| {world} | {' | '.join(rates)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
