"""The response of every metric to every kind of damage, as a table for the docs.

    python -m tests.metrology.response CLIPS OUT.md

writes two simulated worlds to a scratch directory, damages their clips in rising strength, and judges the result.
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

METRICS = (
    "fidelity.psnr", "fidelity.ssim", "fidelity.sharpness", "fidelity.flicker",
    "agents.ade", "agents.flow_epe", "agents.iou", "agents.missing_rate", "ego.rpe_rotation", "ego.rpe_translation",
)  # fmt: skip


def world_clips(directory: Path, count: int, worlds: Sequence[str] = ("highway", "town")) -> list[Clip]:
    """Clips of 10 frames at 96 × 160 with exact annotations."""
    clips: list[Clip] = []
    for world in worlds:
        place = directory / world
        write_world(place, world, clips=count, seed=11, frames=10, fps=8.0, height=96, width=160)
        files = [(path.stem, path, path) for path in sorted(place.glob("*.mp4"))]
        clips += [clip for clip, _ in read_pairs(files, PairRules(context=2))]
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
            rungs = [judged([damage.apply(Footage.of(c), s) for c in clips]) for s in damage.rungs]
            table[name] = {m: [whole[m], *(rung[m] for rung in rungs)] for m in metrics}
    return table


def monotonicity(figures: Sequence[float]) -> float:
    """Spearman's correlation of the figures with the strength of the damage; 0 where nothing changes."""
    if np.ptp(figures) < 1e-12:
        return 0.0
    return float(spearmanr(range(len(figures)), figures).statistic)


def markdown(table: dict[str, dict[str, list[float]]], clips: int) -> str:
    """The table: figure without damage → at the strongest rung, and Spearman's correlation over the rungs."""
    metrics = list(next(iter(table.values())))
    lines = [
        f"{clips} clips of the worlds highway and town, 10 frames at 96 × 160, 2 of them given.",
        "Each cell: the figure without damage → at the strongest rung (Spearman's ρ over the six strengths).",
        "",
        "| damage | kind | " + " | ".join(metrics) + " |",
        "| --- | --- |" + " --- |" * len(metrics),
    ]
    for name, row in table.items():
        cells = [f"{f[0]:.3g} → {f[-1]:.3g} ({monotonicity(f):+.2f})" for f in row.values()]
        lines.append(f"| {name} | {DAMAGES[name].kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(count: int, out: Path) -> None:
    """Measure and write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        clips = world_clips(Path(scratch), count)
        out.write_text(markdown(responses(clips), len(clips)), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
