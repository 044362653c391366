"""What evaluation costs per metric, and what the cache of real clips saves. Prints a markdown table.

python tests/bench/bench_evaluation.py [CLIPS]
"""

from __future__ import annotations

import sys
import tempfile
import time

import cv2
import numpy as np

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.frechet import frechet_distance
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.metric import ClipMetric, metric
from drivereplay.storage import Storage

METRICS = ("fidelity.psnr", "fidelity.ssim", "fidelity.flicker", "agents.flow_epe", "ego.rpe_rotation")
FRAMES, HEIGHT, WIDTH = 16, 96, 160


def _clip(number: int) -> Clip:
    rng = np.random.default_rng(number)
    wide = cv2.GaussianBlur(rng.uniform(0, 255, (HEIGHT, WIDTH + FRAMES, 3)), (0, 0), 2.0)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return Clip(f"bench/{number}", "bench", np.stack([wide[:, t : t + WIDTH] for t in range(FRAMES)]), 2, 8.0)


def _cpu_s(call: object) -> float:
    start = time.process_time()
    call()  # type: ignore[operator]
    return time.process_time() - start


def main(clips: int) -> None:
    """Time in CPU seconds, so that a busy machine disturbs the figures less."""
    made = [_clip(n) for n in range(clips)]
    cv2.setNumThreads(1)
    print(f"| metric | CPU s per 1,000 clips, {FRAMES} × {HEIGHT} × {WIDTH} | against psnr |\n| --- | --- | --- |")
    seconds: dict[str, float] = {}
    for name in METRICS:
        judge = metric(name)
        assert isinstance(judge, ClipMetric)

        def run(judge: ClipMetric = judge) -> None:
            for clip in made:
                real = Footage.of(clip)
                judge.curve(real, real.with_frames(np.roll(clip.frames, 1, axis=1)))

        seconds[name] = _cpu_s(run) * 1000 / clips
        print(f"| {name} | {seconds[name]:.1f} | {seconds[name] / seconds['fidelity.psnr']:.1f} |")
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1000, 400))
    print(f"| Fréchet distance, 1,000 × 400 features, once | {_cpu_s(lambda: frechet_distance(a, b)):.2f} | |")
    with tempfile.TemporaryDirectory() as scratch:

        def judged() -> None:
            pairs = [(clip, np.roll(clip.frames, 1, axis=1)) for clip in made]
            evaluate_pairs(pairs, {}, metrics=METRICS, resamples=100, cache=Storage.of(scratch))

        first, second = _cpu_s(judged), _cpu_s(judged)
    print(f"\nSecond evaluation of the same protocol against the first: {second / first:.2f} of its CPU time.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
