"""The response of every metric to every kind of damage, as a table for the docs.

    python -m tests.metrology.response CLIPS OUT.md [VIDEO ...]

writes two simulated worlds to a scratch directory, damages their clips in rising strength, and judges the result; or
does so with that many clips from each of the given video files.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tests.metrology.damage import DAMAGES

from drivereplay.domains.recording import Clip
from drivereplay.domains.worlds import write_world
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.videos import PairRules, read_pairs
from drivereplay.storage import Storage

LOOKS_AND_MOTION = (
    "fidelity.psnr", "fidelity.ssim", "fidelity.sharpness", "fidelity.flicker", "agents.flow_epe",
    "ego.motion_error", "ego.rpe_translation",
)  # fmt: skip
"""What can be told of clips without annotations."""
METRICS = (
    "fidelity.psnr", "fidelity.ssim", "fidelity.sharpness", "fidelity.flicker",
    "agents.ade", "agents.flow_epe", "agents.iou", "agents.missing_rate", "ego.motion_error", "ego.rpe_translation",
)  # fmt: skip


def world_clips(directory: Path, count: int, worlds: Sequence[str] = ("highway", "town")) -> list[Clip]:
    """Clips of 10 frames at 96 × 160 with exact annotations."""
    clips: list[Clip] = []
    for world in worlds:
        place = directory / world
        write_world(place, world, clips=count, seed=11, frames=10, fps=8.0, height=96, width=160)
        files = [(path.stem, (path,), path) for path in sorted(place.glob("*.mp4"))]
        clips += [clip for clip, _ in read_pairs(files, PairRules(context=2))]
    return clips


def video_clips(videos: Sequence[Path], count: int, *, frames: int = 10, fps: float = 8.0) -> list[Clip]:
    """Clips of 10 frames at 96 × 160 and 8 fps, spread evenly over each video; nothing is known of them."""
    clips: list[Clip] = []
    for video in videos:
        rules = PairRules(context=2, fps=fps, size=(96, 160))
        whole = next(iter(read_pairs([(video.stem, (video,), video)], rules)))[0]
        starts = np.linspace(0, len(whole.frames) - frames, min(count, len(whole.frames) // frames)).astype(int)
        for start in starts:
            shown = whole.frames[start : start + frames]
            clips.append(Clip(f"{video.stem}@{start / fps:.2f}", "videos", shown, 2, fps))
    return clips


def responses(clips: Sequence[Clip], metrics: Sequence[str] = METRICS) -> dict[str, dict[str, list[float]]]:
    """Damage → metric → figure at strength zero and at each rung."""
    table: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        cache = Storage.of(scratch)

        def judged(made: list[np.ndarray]) -> dict[str, float]:
            pairs = list(zip(clips, made, strict=True))
            report = evaluate_pairs(pairs, {}, metrics=metrics, resamples=100, cache=cache)
            return {name: report.metrics[name].mean for name in metrics}

        whole = judged([clip.frames for clip in clips])
        for name, damage in DAMAGES.items():
            if damage.of_objects and any(clip.annotations is None for clip in clips):
                continue
            rungs = [judged([damage.apply(Footage.of(c), s) for c in clips]) for s in damage.rungs]
            table[name] = {m: [whole[m], *(rung[m] for rung in rungs)] for m in metrics}
    return table


def monotonicity(figures: Sequence[float]) -> float:
    """Spearman's correlation of the figures with the strength of the damage; 0 where nothing changes."""
    if np.ptp(figures) < 1e-12:
        return 0.0
    return float(spearmanr(range(len(figures)), figures).statistic)


def markdown(table: dict[str, dict[str, list[float]]], clips: int, source: str = "the worlds highway and town") -> str:
    """The table: figure without damage → at the strongest rung, and Spearman's correlation over the rungs."""
    metrics = list(next(iter(table.values())))
    lines = [
        f"{clips} clips of {source}, 10 frames at 96 × 160, 2 of them given.",
        "Each cell: the figure without damage → at the strongest rung (Spearman's ρ over the six strengths).",
        "",
        "| damage | kind | " + " | ".join(metrics) + " |",
        "| --- | --- |" + " --- |" * len(metrics),
    ]
    for name, row in table.items():
        cells = [f"{f[0]:.3g} → {f[-1]:.3g} ({monotonicity(f):+.2f})" for f in row.values()]
        lines.append(f"| {name} | {DAMAGES[name].kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(count: int, out: Path, videos: Sequence[Path]) -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        clips = video_clips(videos, count) if videos else world_clips(Path(scratch), count)
        source = ", ".join(video.name for video in videos) or "the worlds highway and town"
        table = responses(clips, LOOKS_AND_MOTION if videos else METRICS)
        out.write_text(markdown(table, len(clips), source), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), [Path(video) for video in sys.argv[3:]])
