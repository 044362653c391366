"""What a frame of every world costs one core: written (all of it: simulation to files) and rendered in memory.

`python tests/bench/bench_worlds.py [WORLD ...] [--against TREE] [--frames N] [--rounds N] [--sizes HxW ...]` prints two
tables of frames per second: clips of N frames written to a directory with annotations, and short clips rendered in
memory, as training with `clips: fresh` takes them. With `--against`, another checkout of the project is measured in
turns with this one, clip by clip, and the tables give both and the ratio. Time is CPU time of the measured process, for
each clip the best of all rounds, so that what else runs on the machine matters little (shared caches still do).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIPS = 3
HERE = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, help="another checkout of the project")
    parser.add_argument("--frames", type=int, default=48, help="frames of a clip that is written")
    parser.add_argument("--clip", type=int, default=8, help="frames of a clip that is rendered")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["96x160", "64x96", "32x48"], help="HEIGHTxWIDTH")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("worlds", nargs="*", help="default: all")
    options = parser.parse_args(arguments)
    if options.serve:
        serve()
        return
    from drivereplay.domains.worlds import WORLDS

    trees = [HERE] if options.against is None else [options.against.resolve(), HERE]
    workers = [Worker(tree) for tree in trees]
    for what, frames in (("written", options.frames), ("rendered", options.clip)):
        print(f"\n| {what}, clips of {frames} frames | {' | '.join(options.sizes)} |")
        print("| --- | " + "--- | " * len(options.sizes))
        for world in options.worlds or WORLDS:
            sizes = [size.replace("x", " ") for size in options.sizes]
            cells = [cell(workers, f"{what} {world} {frames} {size}", frames, options.rounds) for size in sizes]
            print(f"| {world} | {' | '.join(cells)} |", flush=True)
    for worker in workers:
        worker.close()


def cell(workers: list[Worker], request: str, frames: int, rounds: int) -> str:
    """Frames per second, of the other tree first, and the ratio."""
    best = [[float("inf")] * CLIPS for _ in workers]
    # textures and bodies are made once per process
    for round_number in range(rounds + 1):
        for clip in range(CLIPS):
            for worker, seconds in zip(workers, best, strict=True):
                taken = worker.ask(f"{request} {clip}")
                if round_number:
                    seconds[clip] = min(seconds[clip], taken)
    rates = [frames * CLIPS / sum(seconds) for seconds in best]
    shown = " → ".join(f"{rate:.0f}" for rate in rates)
    return shown if len(rates) == 1 else f"{shown} ({rates[1] / rates[0]:.2f} ×)"


class Worker:
    """A process that measures one checkout."""

    def __init__(self, tree: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree / "platform"), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, request: str) -> float:
        """CPU seconds of one clip."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve() -> None:
    """Measure what is asked for, line by line, with the checkout on PYTHONPATH."""
    import cv2

    cv2.setNumThreads(1)
    for line in sys.stdin:
        what, world, *numbers = line.split()
        frames, height, width, clip = map(int, numbers)
        print((written if what == "written" else rendered)(world, clip, frames, height, width), flush=True)


def written(world: str, clip: int, frames: int, height: int, width: int) -> float:
    """CPU seconds of a clip, directory and all."""
    from drivereplay.domains.worlds import write_world

    size = {"frames": frames, "fps": 8, "height": height, "width": width}
    with tempfile.TemporaryDirectory() as directory:
        start = time.process_time()
        write_world(Path(directory) / world, world, clips=1, seed=clip, **size)
        return time.process_time() - start


def rendered(world: str, clip: int, frames: int, height: int, width: int) -> float:
    """CPU seconds of a clip in memory, without annotations."""
    from drivereplay.domains.worlds import Shot, world_named
    from drivereplay.domains.worlds.world import render

    there, shot = world_named(world), Shot(1, clip, frames, 8.0, height, width)
    start = time.process_time()
    if hasattr(there, "render"):
        there.render(shot)
    else:
        # a checkout of before clips could be rendered at once
        take = there.take(shot)
        for frame in range(frames):
            render(take, frame)
    return time.process_time() - start


if __name__ == "__main__":
    main(sys.argv[1:])
