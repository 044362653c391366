"""What a trial costs before its first optimiser step, and between trials, in a real sweep of real videos.

    python tests/bench/bench_trial.py [--trials 8]

A sweep of the `wan` family on mp4 files (2 domains of 8, clips of 8 frames at 48×32), a trial at a time, 4 steps each.
Nothing is replaced; the trials' own process notes the times. The first trial, which starts processes and decodes,
stands apart; for the others the median and the slowest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.footage import moving_square  # noqa: E402

from drivereplay.domains.mp4 import write_video  # noqa: E402
from drivereplay.search.sweep import sweep  # noqa: E402
from drivereplay.search.trial import FineTuning, TrialRequest  # noqa: E402
from drivereplay.session import ensure_ray  # noqa: E402
from drivereplay.spec import Spec, parse_spec  # noqa: E402
from drivereplay.storage import Storage  # noqa: E402

NOTE = "times.json"


class Timed(FineTuning):
    """The real runner; notes when a trial began, made its first step, and ended."""

    def run(self, spec: Spec, request: TrialRequest, directory: Storage, done: Mapping[Any, Any], emit: Any) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        times = [time.time()]
        hook = register_optimizer_step_post_hook(lambda *_: times.append(time.time()))
        try:
            super().run(spec, request, directory, done, emit)
        finally:
            hook.remove()
        noted = {"began": times[0], "first_step": times[1] if len(times) > 1 else None, "ended": time.time()}
        directory.write(NOTE, json.dumps(noted).encode())


def experiment(folder: Path, trials: int) -> Spec:
    for domain, first in (("driving", 0), ("street", 50)):
        (folder / domain).mkdir()
        for n in range(8):
            write_video(folder / domain / f"{n}.mp4", moving_square(first + n, 48), 8.0)
    return parse_spec(
        {
            "name": "bench",
            "storage": str(folder / "runs"),
            "clip": {"frames": 8, "context": 2, "fps": 8, "height": 32, "width": 48},
            "model": {"family": "wan", "base": "random"},
            "target": {"name": "driving", "source": {"kind": "videos", "path": str(folder / "driving")}},
            "replay": {
                "domains": [{"name": "street", "source": {"kind": "videos", "path": str(folder / "street")}}],
            },
            "training": {"steps": 4, "batch_size": 4},
            "evaluation": {"clips": 2, "denoising_steps": 2, "metrics": ["fidelity.psnr", "fidelity.sharpness"]},
            "search": {
                "objectives": ["fidelity.psnr", "fidelity.sharpness"],
                "space": {"replay.frequency": {"uniform": [0.0, 0.6]}},
                "anchors": ["naive"],
                "trials": trials - 1,
                "concurrent": 1,
            },
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    trials = max(3, parser.parse_args().trials)
    ensure_ray()
    with tempfile.TemporaryDirectory() as folder:
        spec = experiment(Path(folder), trials)
        sweep(spec, runner=Timed(), show_progress=False)
        places = Path(folder, "runs", "bench", "trials")
        noted = sorted((json.loads(f.read_text()) for f in places.glob(f"*/{NOTE}")), key=lambda t: t["began"])
    to_step = [t["first_step"] - t["began"] for t in noted]
    between = [after["began"] - before["ended"] for before, after in itertools.pairwise(noted)]
    print("| seconds | first trial | later trials: median | slowest | aim |\n| --- | --- | --- | --- | --- |")
    rows = [("a trial's start to its first optimiser step", f"{to_step[0]:.2f}", to_step[1:], "≤ 1.5")]
    rows.append(("one trial's end to the next one's start", "", between, "≤ 0.5"))
    for name, first, later, aim in rows:
        print(f"| {name} | {first} | {statistics.median(later):.2f} | {max(later):.2f} | {aim} |")


if __name__ == "__main__":
    main()
