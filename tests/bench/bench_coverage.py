"""Share of simulated evaluations whose 95 % interval holds the truth: `python tests/bench/bench_coverage.py TRIALS`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from drivereplay.evaluation.draws import ClipFigures, Row, paired_draws
from drivereplay.evaluation.frechet import frechet_distance, polynomial_mmd
from drivereplay.evaluation.statistics import Estimate, jackknife, mean_interval, set_interval
from drivereplay.search.candidates import Candidate
from drivereplay.search.seeds import pooled

Rng = np.random.Generator


def main(trials: int) -> None:
    for n in (16, 32, 64):
        show(f"mean, normal, {n} clips", trials, lambda rng, t, n=n: holds(mean_interval(rng.normal(0, 1, n), seed=t)))
        skewed = lambda rng, t, n=n: holds(mean_interval(rng.gamma(4.0, 1.0, n) - 4.0, seed=t))  # noqa: E731
        show(f"mean, skewed, {n} clips", trials, skewed)
    for recordings, clips in ((8, 8), (4, 16), (16, 4)):
        show(f"mean, {recordings} recordings of {clips} clips", trials, recorded(recordings, clips))
    for lost in (0.05, 0.2):
        show(f"mean, {lost:.0%} of objects lost, one a clip, 16 clips", trials, penalised(lost))
    for spread in ((1.0, 1.0, 1.0), (0.05, 1.0, 0.1), (0.5, 0.1, 0.1)):
        for seeds in (2, 3, 5, 8):
            name = f"{seeds} seeds, sd of seeds, clips, both: {spread}, 24 clips"
            show(f"pooled setting, {name}", trials, seeded(seeds, spread, by_draws=False))
            show(f"paired draws, {name}", trials, seeded(seeds, spread, by_draws=True))
    show("kvd of a perfect model, 16 clips, 8 features", trials, kernel(16, 0.0))
    show("kvd of one that is off, 24 clips, 8 features", trials, kernel(24, 0.5))
    for n in (32, 64, 128, 256):
        show(f"Frechet at infinity, {n} clips, 64 features", max(trials // 10, 20), frechet(n))


def show(name: str, trials: int, one: Callable[[Rng, int], bool]) -> None:
    rng = np.random.default_rng(0)
    share = np.mean([one(rng, trial) for trial in range(trials)])
    print(f"{name:78s} {share:.3f} of {trials}", flush=True)


def holds(found: Estimate, truth: float = 0.0) -> bool:
    return found.low <= truth <= found.high


def recorded(recordings: int, clips: int) -> Callable[[Rng, int], bool]:
    groups = [f"r{i // clips}" for i in range(recordings * clips)]

    def one(rng: Rng, trial: int) -> bool:
        values = rng.normal(0, 1, (recordings, 1)) + rng.normal(0, 1, (recordings, clips))
        return holds(mean_interval(values.ravel(), groups, seed=trial))

    return one


def penalised(lost: float) -> Callable[[Rng, int], bool]:
    def one(rng: Rng, trial: int) -> bool:
        values = np.where(rng.random(16) < lost, 0.5, rng.gamma(4.0, 0.005, 16))
        return holds(mean_interval(values, bounds=(0.0, 0.5), seed=trial), lost * 0.5 + (1 - lost) * 0.02)

    return one


def seeded(seeds: int, spread: tuple[float, float, float], *, by_draws: bool) -> Callable[[Rng, int], bool]:
    units = tuple((f"c{i}", f"c{i}") for i in range(24))

    def one(rng: Rng, trial: int) -> bool:
        clips = rng.normal(0, spread[1], 24)
        values = [rng.normal(0, spread[0]) + clips + rng.normal(0, spread[2], 24) for _ in range(seeds)]
        if by_draws:
            rows = [Row("a", {"x": ClipFigures(float(v.mean()), v, units)}) for v in values]
            low, high = paired_draws(rows, ["x"], seed=trial).interval()
            return bool(low[0, 0] <= 0 <= high[0, 0])
        blank = Candidate("t", 1, 0, "trial", {}, setting="t", status="finished")
        found = [replace(blank, trial=f"t{k}", metrics={"x": mean_interval(v)}) for k, v in enumerate(values)]
        return holds(pooled(found)[0].candidate.metrics["x"])

    return one


def pairs(rng: Rng, n: int, d: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Features of n clips, of which what the given frames fix is common to the real and the generated clip."""
    context = rng.normal(size=(n, d)) * np.sqrt(0.8)
    real, generated = (context + rng.normal(size=(n, d)) * np.sqrt(0.2) for _ in range(2))
    return real, generated + shift


def kernel(n: int, shift: float) -> Callable[[Rng, int], bool]:
    rng = np.random.default_rng(1)
    truth = float(np.mean([polynomial_mmd(*pairs(rng, 400, 8, shift)) for _ in range(20)])) if shift else 0.0

    def one(rng: Rng, trial: int) -> bool:
        real, generated = pairs(rng, n, 8, shift)
        point = polynomial_mmd(real, generated)
        pseudo = jackknife(lambda b: polynomial_mmd(real[~b], generated[~b]), point, [""] * n, 256)
        return holds(set_interval(point, pseudo, seed=trial), truth)

    return one


def frechet(n: int, d: int = 64) -> Callable[[Rng, int], bool]:
    scale = np.sqrt(1.0 / np.arange(1.0, d + 1))  # variances fall as 1/k, as those of networks' features do

    def one(rng: Rng, trial: int) -> bool:
        real, generated = pairs(rng, n, d, 0.0)
        real, generated = real * scale, generated * scale
        generated[:, 0] += 0.5
        point = frechet_distance(real, generated)
        pseudo = jackknife(lambda b: frechet_distance(real[~b], generated[~b]), point, [""] * n, 128)
        return holds(mean_interval(pseudo, seed=trial), 0.25)

    return one


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
