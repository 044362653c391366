"""Evaluates a base against the recipe's gates: unseen clips of the eight worlds, their rare splits, and a ninth world.

Each row (a model at some number of denoising steps, the shipped base, the reference videos) is evaluated on the same
clips, so that all differences are paired.

    python experiments/recipes/base/gates.py MODEL [MODEL ...] --work DIRECTORY
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from recipe import Recipe, load_recipe

from drivereplay.domains.annotations import read_clip
from drivereplay.domains.recording import Clip
from drivereplay.domains.worlds.registry import world_named
from drivereplay.domains.worlds.writer import write_world
from drivereplay.evaluation import references
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.generate import generate_futures
from drivereplay.evaluation.judge import evaluate_pairs
from drivereplay.evaluation.statistics import compare_means, mean_interval
from drivereplay.models import load_checkpoint
from drivereplay.models.base import VideoModel
from drivereplay.storage import Storage

SEED = 905
"""Seed of the gates' clips; no clip of training or of the held-out loss has it."""
NINTH = "night-rain"
METRICS = ("fidelity.psnr", "agents.ade", "motion.amount")

Row = Mapping[str, NDArray[np.float64]]
"""Figures (N,) of N clips by name."""


def gate_clips(directory: Path, recipe: Recipe, per_world: int) -> list[Clip]:
    """Clips of every world and, where it has them, of its rare motion; `domain` is the world, `subset` the split."""
    clip = recipe.clip
    clips = []
    for world in [*recipe.worlds, NINTH]:
        for split in ("regular", "rare-motion") if world_named(world).driving else ("regular",):
            written = write_world(
                directory / f"{world}-{split}", world, clips=per_world, seed=SEED, frames=clip.frames, fps=clip.fps,
                height=clip.height, width=clip.width, split=split,
            )  # fmt: skip
            for recording in written[:per_world]:
                frames = _read(Path(recording.path))
                notes = read_clip(str(recording.annotations), range(clip.frames), (clip.width, clip.height), clip)
                name = f"{world}/{split}/{recording.key}"
                clips.append(Clip(name, world, frames, clip.context, clip.fps, split, notes))
    return clips


def _read(path: Path) -> NDArray[np.uint8]:
    import av

    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def row_figures(clips: Sequence[Clip], videos: Sequence[NDArray[np.uint8]], cache: Storage) -> Row:
    """The metrics, and ln(video / real) of sharpness, of each clip."""
    report = evaluate_pairs(
        zip(clips, videos, strict=True), {"source": "gates"}, metrics=METRICS, resamples=10, cache=cache
    )
    figures = {name: report.per_clip[name] for name in METRICS}
    sharpness = []
    for clip, video in zip(clips, videos, strict=True):
        real = Footage.of(clip)
        sharpness.append(math.log(_laplacian_energy(real.with_frames(video)) / _laplacian_energy(real)))
    return {**figures, "sharpness": np.array(sharpness)}


def _laplacian_energy(footage: Footage) -> float:
    frames = footage.grey[footage.context :]
    return float(np.mean([cv2.Laplacian(frame, cv2.CV_64F).var() for frame in frames])) + 1.0


def generated(model: VideoModel, clips: Sequence[Clip], steps: int) -> list[NDArray[np.uint8]]:
    """The model's video of each clip."""
    videos: list[NDArray[np.uint8]] = []
    for start in range(0, len(clips), 16):
        videos += list(generate_futures(model, clips[start : start + 16], samples=1, seed=0, denoising_steps=steps)[0])
    return videos


def reconstructed(model: VideoModel, clips: Sequence[Clip]) -> list[NDArray[np.uint8]]:
    """Each clip, encoded and decoded: what a perfect denoiser could reach."""
    videos: list[NDArray[np.uint8]] = []
    for start in range(0, len(clips), 16):
        frames = torch.from_numpy(np.stack([clip.frames for clip in clips[start : start + 16]]))
        with torch.no_grad():
            videos += list(model.decode(model.encode(frames)).numpy())
    return videos


def verdicts(row: Row, rows: Mapping[str, Row], trained: NDArray[np.bool_], worlds: Sequence[str]) -> Iterator[str]:
    """A line for each gate: what it asks for, what was reached, whether it is met."""
    frozen, constant = rows[references.FROZEN], rows[references.CONSTANT_MOTION]
    names = np.array(worlds)

    def gate(text: str, contrast: NDArray[np.float64], *, goal: bool = False) -> str:
        """`contrast` (N,) is better when higher; met where its mean is positive, in the mean and in six worlds."""
        overall = compare_means(contrast[trained], np.zeros(trained.sum()))
        by_world = {w: float(np.nanmean(contrast[trained & (names == w)])) for w in dict.fromkeys(names[trained])}
        good = sum(value >= 0 for value in by_world.values())
        met = "met" if overall.estimate.mean >= 0 and (good >= 6 or goal) else "missed"
        return f"{met}: {text}: {overall.estimate} (p = {overall.p:.2g}), {good} of {len(by_world)} worlds"

    yield gate("PSNR above constant motion, dB", row["fidelity.psnr"] - constant["fidelity.psnr"])
    aim = 0.2 * frozen["agents.ade"] + 0.8 * constant["agents.ade"]
    yield gate("agents.ade at least .8 of the way from frozen to constant motion, diagonals", aim - row["agents.ade"])
    yield gate("goal: agents.ade below constant motion", constant["agents.ade"] - row["agents.ade"], goal=True)
    amount = mean_interval(row["motion.amount"][trained])
    yield f"{_met(abs(amount.mean) <= math.log(1.1))}: |motion amount| ≤ {math.log(1.1):.3f}: {amount}"
    sharp = mean_interval(row["sharpness"][trained])
    yield f"{_met(math.exp(sharp.mean) >= 0.5)}: sharpness ratio ≥ .5: {math.exp(sharp.mean):.2f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"


def table(rows: Mapping[str, Row], chosen: NDArray[np.bool_]) -> str:
    """Markdown: means with 95 % intervals over the chosen clips."""
    lines = ["| | PSNR, dB | agents.ade, diagonals | motion amount, ln | sharpness ratio |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        psnr, ade, motion, sharp = (mean_interval(row[key][chosen]) for key in (*METRICS, "sharpness"))
        cells = [
            f"{psnr.mean:.2f} [{psnr.low:.2f}, {psnr.high:.2f}]",
            f"{ade.mean:.4f} [{ade.low:.4f}, {ade.high:.4f}]",
            f"{motion.mean:+.2f} [{motion.low:+.2f}, {motion.high:+.2f}]",
            f"{math.exp(sharp.mean):.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """The command line: MODEL ... --work DIRECTORY."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("models", type=Path, nargs="*", help="diffusers directories; none means the shipped base alone")
    parser.add_argument("--work", type=Path, required=True, help="where clips and cached figures go")
    parser.add_argument("--clips", type=int, default=16, help="of each world and split")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4], help="numbers of denoising steps")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    recipe = load_recipe()
    clips = gate_clips(options.work / "clips", recipe, options.clips)
    cache = Storage.of(str(options.work / "cache"))
    worlds = [clip.domain for clip in clips]
    trained = np.array([w != NINTH and c.subset == "regular" for w, c in zip(worlds, clips, strict=True)])
    rare = np.array([w != NINTH and c.subset == "rare-motion" for w, c in zip(worlds, clips, strict=True)])
    rows: dict[str, Row] = {}
    by_reference = [references.rows(Footage.of(clip)) for clip in clips]
    for name in (references.FROZEN, references.CONSTANT_MOTION):
        rows[name] = row_figures(clips, [made[name].frames for made in by_reference], cache)
    models = {str(path): load_checkpoint(path) for path in [recipe.base, *options.models]}
    first = next(iter(models.values()))
    rows[references.RECONSTRUCTION] = row_figures(clips, reconstructed(first, clips), cache)
    for path, model in models.items():
        for steps in options.steps:
            rows[f"{Path(path).name}, {steps} steps"] = row_figures(clips, generated(model, clips, steps), cache)
            print(f"evaluated {path}, {steps} denoising steps", flush=True)
    for title, chosen in (
        (f"{trained.sum()} clips of the worlds it is trained on", trained),
        (f"{rare.sum()} clips of their rare motion", rare),
        ("the unseen ninth world, " + NINTH, np.array([w == NINTH for w in worlds])),
    ):
        print(f"\n{title}\n\n{table(rows, chosen)}")
    for name, row in rows.items():
        if name not in (references.FROZEN, references.CONSTANT_MOTION, references.RECONSTRUCTION):
            print(f"\n{name}")
            for title, chosen in (("", trained), ("rare motion: ", rare)):
                for line in verdicts(row, rows, chosen, worlds):
                    print(f"  {title}{line}")
    figures = {name: {key: values.tolist() for key, values in row.items()} for name, row in rows.items()}
    document = {"clips": [clip.name for clip in clips], "rows": figures}
    (options.work / "gates.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()
