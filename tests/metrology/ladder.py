"""The cheat ladder: which cheats beat the real video, and whether a metric sees motion or looks.

    python -m tests.metrology.ladder worlds|recordings CLIPS OUT.md [METRIC ...]

`CLIPS` is the number of clips from each world or recording. Each clip's future is replaced by every cheat of
`tests.metrology.cheats`, and by itself with altered looks.

The AUC of a metric: within a clip, over pairs of right motion with altered looks and wrong motion with perfect looks,
the share in which the right motion has the better figure, ties counting half; the mean over clips whose motion exceeds
the floor.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tests.metrology.cheats import CHEATS, LOOKS, Trial, altered
from tests.metrology.trials import FRAMES, recording_trials, world_trials

from drivereplay.evaluation.boxes import centres, real_tracks
from drivereplay.evaluation.flow import dominant_motion, future_flow
from drivereplay.evaluation.footage import Footage
from drivereplay.evaluation.metric import ClipMetric, metric, metric_names
from drivereplay.evaluation.scoring import has_needs, one_opencv_thread

PRIMARY_AUC = 0.9
LEAST_MOTION = 0.02
"""Clips whose objects (or whose camera's image) travel less than this share of the diagonal have no motion to judge."""
REAL = "real"
Table = dict[str, NDArray[np.float64]]


@dataclass
class Figures:
    """Figures of one metric.

    Attributes:
        versions: Version of the clip (`real`, cheats, looks, `cheat + looks`) → figures (N,), NaN where it has none.
        moving: (N,) whether the clip's motion exceeds the floor.
    """

    name: str
    versions: Table = field(default_factory=dict)
    moving: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    @property
    def family(self) -> str:
        """The metric's family."""
        return self.name.split(".")[0]

    @property
    def sign(self) -> float:
        """1 where lower is better."""
        return 1.0 if metric(self.name).direction == "min" else -1.0

    def cheats(self) -> list[str]:
        """Cheats that apply to the metric's family."""
        return [name for name, cheat in CHEATS.items() if self.family in cheat.families]

    def auc(self) -> float:
        """Mean over moving clips of the share of pairs that are in the right order."""
        sharp = [n for n in self.cheats() if CHEATS[n].sharp and n in self.versions]
        if not sharp:
            return float("nan")
        wrong = np.stack([self.versions[n] for n in sharp])
        right = np.stack([self.versions[n] for n in LOOKS])
        shares = []
        for n in np.flatnonzero(self.moving):
            a, b = self.sign * right[:, n][:, None], self.sign * wrong[:, n][None]
            known = np.isfinite(a) & np.isfinite(b)
            if known.any():
                shares.append(float(np.where(a < b, 1.0, np.where(a == b, 0.5, 0.0))[known].mean()))
        return float(np.mean(shares)) if shares else float("nan")

    def weakest(self) -> str:
        """The pair of looks and cheat that is most often in the wrong order."""
        worst, which = 2.0, ""
        for looks in LOOKS:
            for name in self.cheats():
                if name not in self.versions:
                    continue
                a, b = self.sign * self.versions[looks], self.sign * self.versions[name]
                known = np.isfinite(a) & np.isfinite(b) & self.moving
                if CHEATS[name].sharp and known.any():
                    share = float(np.where(a < b, 1.0, np.where(a == b, 0.5, 0.0))[known].mean())
                    if share < worst:
                        worst, which = share, f"{looks} < {name}: {share:.2f}"
        return which

    def winners(self) -> list[str]:
        """Cheats, alone or with altered looks, that beat the real video beyond the paired 95 % interval."""
        found = []
        for name, figures in self.versions.items():
            if name.split(" + ")[0] in self.cheats():
                loss = self.sign * (figures - self.versions[REAL])
                loss = loss[np.isfinite(loss)]
                if len(loss) >= 2 and np.ptp(loss) > 0:
                    half = stats.t.ppf(0.975, len(loss) - 1) * loss.std(ddof=1) / np.sqrt(len(loss))
                    if loss.mean() + half < 0:
                        found.append(name)
                elif len(loss) and loss.mean() < 0:
                    found.append(name)
        return found


def versions(trial: Trial, crossed: bool = False) -> dict[str, NDArray[np.uint8]]:
    """Every version of a clip that can be made: real, with altered looks, and the cheats."""
    frames, context = trial.clip.frames, trial.clip.context
    made = {REAL: frames, **{looks: altered(frames, context, looks) for looks in LOOKS}}
    for name, cheat in CHEATS.items():
        video = cheat.apply(trial)
        if video is not None:
            made[name] = video
            if crossed:
                made.update({f"{name} + {looks}": altered(video, context, looks) for looks in LOOKS})
    return made


def run(trials: Sequence[Trial], names: Sequence[str], *, crossed: bool = False) -> list[Figures]:
    """Figures of each metric on every version of every clip."""
    figures = [Figures(name) for name in names]
    moving: dict[str, list[bool]] = {"agents": [], "ego": [], "motion": []}
    with one_opencv_thread():
        for number, trial in enumerate(trials):
            real = Footage.of(trial.clip)
            for family, amount in (("agents", object_travel(real)), ("ego", camera_travel(real))):
                moving[family].append(amount >= LEAST_MOTION)
            moving["motion"].append(moving["agents"][-1] or moving["ego"][-1])
            for version, frames in versions(trial, crossed).items():
                video = real if version == REAL else real.with_frames(frames)
                for one in figures:
                    row = one.versions.setdefault(version, np.full(len(trials), np.nan))
                    row[number] = _figure(one.name, real, video)
    for one in figures:
        one.moving = np.array(moving[one.family])
    return figures


def _figure(name: str, real: Footage, video: Footage) -> float:
    one = metric(name)
    assert isinstance(one, ClipMetric)
    return one.score(one.curve(real, video)) if has_needs(real, one.needs) else float("nan")


def object_travel(real: Footage) -> float:
    """Mean over objects of how far each gets from where it is in the last given frame, in image diagonals."""
    if real.annotations is None or not np.isfinite(real.annotations.boxes_px).any():
        return 0.0
    start = centres(real.annotations.boxes_px[real.context - 1])
    away = np.linalg.norm(centres(real_tracks(real)) - start, axis=-1) / real.diagonal_px
    known = np.isfinite(away).any(0)
    return float(np.nanmax(away[:, known], axis=0).mean()) if known.any() else 0.0


def camera_travel(real: Footage) -> float:
    """Sum over steps of the mean length of the dominant motion, in image diagonals."""
    steps = [np.linalg.norm(dominant_motion(flow), axis=-1).mean() for flow in future_flow(real)]
    return float(np.sum(steps)) / real.diagonal_px


def markdown(figures: Sequence[Figures], trials: Sequence[Trial]) -> str:
    """The AUC of each metric, what wins it, and its mean figure on every version."""
    sources = ", ".join(dict.fromkeys(trial.source for trial in trials))
    lines = [
        f"{len(trials)} clips of {sources}; {FRAMES} frames.",
        "",
        "| metric | AUC | clips that move | weakest pair | cheats better than `real` |",
        "| --- | --- | --- | --- | --- |",
    ]
    for one in figures:
        won = ", ".join(one.winners()) or "none"
        counted = int((one.moving & np.isfinite(one.versions[REAL])).sum())
        lines.append(f"| `{one.name}` | {one.auc():.2f} | {counted} | {one.weakest()} | {won} |")
    names = [v for v in figures[0].versions if " + " not in v]
    lines += ["", "| version | " + " | ".join(f.name for f in figures) + " |", "| --- |" + " --- |" * len(figures)]
    for version in names:
        cells = [_mean(one.versions[version][one.moving]) for one in figures]
        lines.append(f"| {version} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _mean(values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    return f"{known.mean():.3g}" if len(known) else ""


def dynamics() -> list[str]:
    """Names of all metrics of dynamics that need no weights."""
    families = ("agents", "ego")
    return [n for n in metric_names() if n.split(".")[0] in families and not metric(n).weights]


def main(kind: str, count: int, out: Path, names: Sequence[str] = (), scratch: Path | None = None) -> None:
    """Measure and write the tables."""
    with tempfile.TemporaryDirectory() as directory:
        place = scratch or Path(directory)
        trials = world_trials(place, count) if kind == "worlds" else recording_trials(place, count)
        out.write_text(markdown(run(trials, names or dynamics()), trials), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
