"""Seeds as replicates: settings with their spread over seeds, and who races for a place on the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.draws import Draws, Row, paired_draws
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import COSTS, Limit, feasible
from drivereplay.search.trial import TrialRequest
from drivereplay.spec import RacingSpec

RESAMPLES = 1000
SETTLED = 0.05
_Z = 1.959964


@dataclass(frozen=True)
class Setting:
    """One setting at one step, over its seeds.

    Attributes:
        candidate: Of the first seed, with the figures of all seeds pooled.
        members: The candidates of all its seeds.
    """

    candidate: Candidate
    members: tuple[Candidate, ...]

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.members)


def pooled(candidates: Sequence[Candidate]) -> list[Setting]:
    """Group finished candidates by (setting, step, variant); the first of a group lends its name and checkpoint."""
    groups: dict[tuple[str, int, str], list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault((candidate.setting or candidate.trial, candidate.step, candidate.variant), []).append(
            candidate
        )
    return [Setting(_pool(group), tuple(group)) for group in groups.values()]


def _pool(group: Sequence[Candidate]) -> Candidate:
    """The mean over seeds; its interval holds the spread over seeds and that over clips.

    With k seeds half the interval is √(t²s²/k + h²): s the standard deviation over seeds, t Student's for k − 1 degrees
    of freedom, h² the mean square of the seeds' own half intervals. All seeds are evaluated on the same clips, so that
    more seeds do not make the clips' share any smaller.
    """
    if len(group) == 1:
        return group[0]
    from scipy.stats import t

    k = len(group)
    factor = float(t.ppf(0.975, k - 1))
    metrics: dict[str, Estimate] = {}
    for name in group[0].metrics:
        found = [c.metrics[name] for c in group if name in c.metrics]
        if len(found) < k:
            continue
        means = np.array([e.mean for e in found])
        # where a seed's figure has no interval (a Fréchet distance, a single clip), the spread over seeds is not all
        within = np.array([(e.high - e.low) / 2 for e in found])
        half = math.sqrt(factor**2 * means.var(ddof=1) / k + float(np.mean(within**2)))
        mean = float(means.mean())
        metrics[name] = Estimate(mean, mean - half, mean + half, found[0].n)
    return replace(group[0], metrics=metrics)


def drawn(
    settings: Sequence[Setting], objectives: Sequence[str], resamples: int = RESAMPLES, seed: int = 0
) -> NDArray[np.float64]:
    """(resamples, n, m) draws of the settings' figures, paired (see `evaluation.draws`).

    Where a runner gave no figures clip by clip, each figure is drawn for itself, normal and as wide as its interval.
    """
    measured = [name for name in objectives if name not in COSTS]
    if settings and all(name in c.figures for s in settings for c in s.members for name in measured):
        values = paired(settings, measured, resamples, seed).values
        # what a setting has cost is no figure of clips: it stays as it is
        spent = {name: np.array([s.candidate.metrics[name].mean for s in settings]) for name in objectives}
        columns = [
            values[:, :, measured.index(name)]
            if name in measured
            else np.broadcast_to(spent[name], (resamples, len(settings)))
            for name in objectives
        ]
        return np.stack(columns, axis=2)
    candidates = [setting.candidate for setting in settings]
    generator = np.random.default_rng(seed)
    mean = np.array([[c.metrics[name].mean for name in objectives] for c in candidates])
    width = np.array([[c.metrics[name].high - c.metrics[name].low for name in objectives] for c in candidates])
    error = np.nan_to_num(width, nan=0.0) / (2 * _Z)
    return mean + error * generator.standard_normal((resamples, *mean.shape))


def paired(settings: Sequence[Setting], names: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Paired draws of settings whose candidates all hold the figures of `names` clip by clip."""
    rows = [
        Row(str(number), c.figures, c.kind != "base", c.setting or c.trial)
        for number, setting in enumerate(settings)
        for c in setting.members
    ]
    return paired_draws(rows, names, resamples=resamples, seed=seed)


def probability_non_dominated(
    settings: Sequence[Setting], objectives: Sequence[str], sign: NDArray[np.float64], resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """(n,) share of paired draws in which a setting is not dominated by any other."""
    if not settings:
        return np.zeros(0)
    draws = drawn(settings, objectives, resamples, 0) * sign
    return np.mean([moocore.is_nondominated(draw, keep_weakly=True) for draw in draws], axis=0)


def next_round(
    candidates: Sequence[Candidate],
    objectives: Sequence[str],
    sign: NDArray[np.float64],
    racing: RacingSpec,
    seed: int,
    used: int,
    limits: Sequence[Limit] = (),
) -> list[TrialRequest]:
    """One more seed for every setting whose place is not settled, the least settled first.

    A setting is settled when it is on the front in fewer than 5 % or in more than 95 % of the draws, or when it
    has all the seeds it may get. The last checkpoint speaks for a setting. The base has nothing to repeat.

    Args:
        candidates: Finished candidates of all earlier rounds.
        seed: Of the experiment; replicate number k is trained with `seed` + k.
        used: Replicates so far.
        limits: Constraints; a setting that violates one has no place to settle.
    """
    last: dict[str, Setting] = {}
    for setting in pooled([c for c in candidates if not c.variant]):
        name = setting.candidate.setting or setting.candidate.trial
        if name not in last or setting.candidate.step > last[name].candidate.step:
            last[name] = setting
    allowed = {candidate.name for candidate in feasible([s.candidate for s in last.values()], limits)}
    contenders = [setting for setting in last.values() if setting.candidate.name in allowed]
    chance = probability_non_dominated(contenders, objectives, sign)
    order = sorted(range(len(contenders)), key=lambda i: (abs(chance[i] - 0.5), contenders[i].candidate.name))
    open_places = [
        contenders[i]
        for i in order
        if SETTLED <= chance[i] <= 1 - SETTLED
        and contenders[i].seeds < racing.seeds
        and contenders[i].candidate.kind != "base"
    ]
    return [
        TrialRequest(
            trial=f"{s.candidate.setting}-s{s.seeds}",
            kind="replicate",
            seed=seed + s.seeds,
            parameters=s.candidate.parameters,
            setting=s.candidate.setting,
        )
        for s in open_places[: max(0, racing.budget - used)]
    ]
