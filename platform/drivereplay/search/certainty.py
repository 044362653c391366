"""How sure a front is: places, hypervolume and differences to the anchors, all from one set of paired draws."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.evaluation.report import Estimate
from drivereplay.search.seeds import RESAMPLES, drawn, pooled

if TYPE_CHECKING:
    from drivereplay.search.front import Front

ANCHORS = ("base", "naive")
CONTENDER = 0.01
"""Settings with at least this P(non-dominated) are named in records; the others have no place."""


@dataclass(frozen=True)
class Certainty:
    """What paired draws of recordings, clips and seeds (`evaluation.draws`) say of a front.

    Attributes:
        probabilities: Candidate (the first seed's name stands for its setting) → share of the draws in which no other
            setting within the constraints dominates it.
        hypervolume: Of the front, with its 95 % interval; None without a reference point. Where the reference point
            rests on anchors it moves with their figures in each draw.
        apart: Candidate → objective → its figure, with the 95 % interval of what sets it apart from the mean of all
            settings: what the clips do to all of them alike is taken out. Empty where figures are not known by clip.
        differences: Candidate → anchor (`base`, `naive`) → objective → candidate less anchor, with its paired interval.
    """

    probabilities: dict[str, float]
    hypervolume: Estimate | None
    differences: dict[str, dict[str, dict[str, Estimate]]]
    apart: dict[str, dict[str, Estimate]] = field(default_factory=dict)

    def to_json(self, always: Collection[str] = ()) -> dict[str, Any]:
        """Plain data of the contenders, and of the candidates named in `always`."""
        names = [name for name, chance in self.probabilities.items() if chance >= CONTENDER or name in always]
        volume = self.hypervolume
        return {
            "hypervolume": None if volume is None else {"low": _finite(volume.low), "high": _finite(volume.high)},
            "candidates": {
                name: {
                    "probability_non_dominated": self.probabilities[name],
                    "differences": {
                        anchor: {
                            objective: [e.mean, _finite(e.low), _finite(e.high)] for objective, e in figures.items()
                        }
                        for anchor, figures in self.differences[name].items()
                    },
                }
                for name in names
            },
        }


def certainty(front: Front) -> Certainty:
    """Draw all settings of a front once, and say how sure its parts are."""
    from drivereplay.search.front import GIVEN, eligible, hypervolume, signs

    settings = pooled(eligible(front.candidates, front.objectives))
    if not settings:
        return Certainty({}, None, {})
    names = [setting.candidate.name for setting in settings]
    at = {name: n for n, name in enumerate(names)}
    points = np.array([setting.candidate.values(front.objectives) for setting in settings])
    draws = drawn(settings, front.objectives, RESAMPLES, 0)
    rivals = [at[setting.candidate.name] for setting in front.rivals()]
    costs = draws[:, rivals] * signs(front.directions)
    chance = np.mean([moocore.is_nondominated(draw, keep_weakly=True) for draw in costs], axis=0)
    # an anchor that was evaluated on the way counts as what fine-tuning gave in the end
    last: dict[str, int] = {}
    for n in sorted(range(len(settings)), key=lambda n: settings[n].candidate.step):
        if not settings[n].candidate.variant:
            last[settings[n].candidate.kind] = n
    anchors = {kind: last[kind] for kind in ANCHORS if kind in last}
    volume = None
    if front.reference and front.hypervolume is not None:
        moves = np.zeros((len(draws), len(front.objectives)))
        if anchors and front.reference_rule != GIVEN:
            held = list(anchors.values())
            moves = (draws[:, held] - points[held]).mean(1)
        inside = [at[candidate.name] for candidate in front.front]
        volumes = np.array(
            [
                hypervolume(draw[inside], tuple(front.reference + move), front.directions)
                for draw, move in zip(draws, moves, strict=True)
            ]
        )
        low, high = _ends(volumes)
        volume = Estimate(front.hypervolume, float(low), float(high), len(inside))
    differences: dict[str, dict[str, dict[str, Estimate]]] = {name: {} for name in names}
    for kind, anchor in anchors.items():
        less = points - points[anchor]
        lows, highs = _ends(draws - draws[:, [anchor]])
        for name, n in at.items():
            if n != anchor:
                rows = zip(front.objectives, less[n], lows[n], highs[n], strict=True)
                differences[name][kind] = {
                    o: Estimate(float(p), float(low), float(high), settings[n].seeds) for o, p, low, high in rows
                }
    apart: dict[str, dict[str, Estimate]] = {}
    if len(settings) > 1 and all(o in c.figures for s in settings for c in s.members for o in front.objectives):
        lows, highs = _ends(draws - draws.mean(1, keepdims=True) + points.mean(0))
        for name, n in at.items():
            rows = zip(front.objectives, points[n], lows[n], highs[n], strict=True)
            apart[name] = {o: Estimate(float(p), float(lo), float(hi), settings[n].seeds) for o, p, lo, hi in rows}
    found = {names[n]: float(p) for n, p in zip(rivals, chance, strict=True)}
    return Certainty(found, volume, differences, apart)


def _ends(draws: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 95 % intervals along the first axis; NaN where nothing moves a figure."""
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    still = np.ptp(draws, axis=0) == 0
    return np.where(still, np.nan, low), np.where(still, np.nan, high)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
