"""What evaluation costs per metric, what the cache of real clips saves, and how memory grows. Prints markdown tables.

    python tests/bench/bench_evaluation.py [CLIPS]

Clips are of the world `town`, 16 frames at 96 × 160. Time is linear in clips, so CLIPS (default 8) are measured and
scaled to 1,000. Times are CPU seconds of one core.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.domains.worlds import write_world
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.metric import ClipMetric, SetMetric, metric
from drivereplay.evaluation.videos import PairRules, read_pairs
from drivereplay.storage import Storage

METRICS = (
    "fidelity.psnr", "fidelity.ssim", "fidelity.sharpness", "fidelity.flicker", "fidelity.fvd_worlds",
    "agents.ade", "agents.flow_epe", "agents.hota", "ego.rpe_rotation",
)  # fmt: skip
FRAMES, HEIGHT, WIDTH = 16, 96, 160
FEW, MANY = 64, 512
"""Clips of which peak memory is compared."""


def _clips(directory: Path, count: int) -> list[Clip]:
    write_world(directory, "town", clips=count, seed=5, frames=FRAMES, fps=8.0, height=HEIGHT, width=WIDTH)
    files = [(path.stem, (path,), path) for path in sorted(directory.glob("*.mp4"))]
    return [clip for clip, _ in read_pairs(files, PairRules(context=2))]


def _damaged(clip: Clip) -> NDArray[np.uint8]:
    return np.concatenate([clip.frames[:2], np.roll(clip.frames[2:], 1, axis=2)])


def _cpu_s(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _alone(name: str, clips: list[Clip]) -> float:
    """One metric by itself, on fresh clips: the real clip's estimates are made too."""

    def run() -> None:
        judge = metric(name)
        for clip in clips:
            real = Footage.of(clip)
            made = real.with_frames(_damaged(clip))
            if isinstance(judge, ClipMetric):
                judge.curve(real, made)
            elif isinstance(judge, SetMetric):
                judge.features([real])
                judge.features([made])

    return _cpu_s(run) * 1000 / len(clips)


def _many(count: int) -> Iterator[tuple[Clip, NDArray[np.uint8]]]:
    """As many unlike clips as wanted, made as they are asked for."""
    for number in range(count):
        rng = np.random.default_rng(number)
        frames = np.repeat(rng.integers(0, 255, (1, HEIGHT, WIDTH, 3), np.uint8), FRAMES, axis=0)
        yield Clip(f"bench/{number}", "bench", frames, 1, 8.0), frames


def _peak_mib(count: int) -> float:
    """Peak memory of a process that judges so many clips."""
    call = [sys.executable, __file__, "--judge", str(count)]
    return float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)


def main(count: int) -> None:
    """Print the tables."""
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        clips = _clips(Path(scratch) / "town", count)
        metric("fidelity.fvd_worlds").features([Footage.of(clips[0])])  # type: ignore[attr-defined]
        print(f"| metric | CPU s per 1,000 clips, {FRAMES} × {HEIGHT} × {WIDTH} | against psnr |\n| --- | --- | --- |")
        seconds = {name: _alone(name, clips) for name in METRICS}
        for name, value in seconds.items():
            print(f"| {name} | {value:.1f} | {value / seconds['fidelity.psnr']:.1f} |")
        a, b = np.random.default_rng(0).normal(size=(2, 1000, 400))
        print(f"| Fréchet distance, 1,000 × 400 features, once | {_cpu_s(lambda: frechet_distance(a, b)):.2f} | |")

        def judged() -> None:
            pairs = [(clip, _damaged(clip)) for clip in clips]
            evaluate_pairs(pairs, {}, metrics=METRICS, resamples=100, cache=Storage.of(f"{scratch}/cache"))

        first, second = _cpu_s(judged), _cpu_s(judged)
    print(f"\nAll of these in one evaluation with reference rows: {first * 1000 / count:.0f} CPU s per 1,000 clips; a ")
    print(f"second one of the same protocol: {second * 1000 / count:.0f} ({second / first:.2f} of the first).")
    few, many = _peak_mib(FEW), _peak_mib(MANY)
    print(f"\nPeak memory (fidelity.psnr): {few:.0f} MiB for {FEW} clips, {many:.0f} MiB for {MANY}.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--judge"]:
        evaluate_pairs(_many(int(sys.argv[2])), {}, metrics=("fidelity.psnr",), resamples=100)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
