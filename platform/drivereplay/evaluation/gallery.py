"""The worst and the best clips of an evaluation, kept while the clips stream by."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.recording import Clip
from drivereplay.evaluation.metric import ClipMetric, metric
from drivereplay.evaluation.scoring import Scores

RANKING = ("agents.ade", "agents.flow_epe", "fidelity.psnr")
"""The first of these that is computed ranks the clips."""


@dataclass(order=True)
class Shown:
    """A clip that is worth a look; ordered by `badness`, which is larger for worse clips."""

    badness: float
    number: int
    clip: Clip = field(compare=False)
    generated: NDArray[np.uint8] = field(compare=False)
    figure: float = field(compare=False)
    metric: str = field(compare=False)


class Gallery:
    """Keeps the n worst and the n best clips of those that are offered.

    Args:
        size: n; 0 keeps nothing.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._worst: list[Shown] = []
        self._best: list[tuple[float, int, Shown]] = []
        self._count = 0

    def offer(self, clips: list[Clip], generated: NDArray[np.uint8], scores: Scores) -> None:
        """Look at a batch: B clips, their first generated videos (B, T, H, W, 3) and the scores of those."""
        name = next((n for n in RANKING if n in scores.curves), None)
        if self._size == 0 or name is None:
            return
        judge = metric(name)
        assert isinstance(judge, ClipMetric)
        for clip, video, curve in zip(clips, generated, scores.curves[name], strict=True):
            self._count += 1
            figure = judge.score(curve)
            if math.isnan(figure):
                continue
            badness = figure if judge.direction == "min" else -figure
            shown = Shown(badness, self._count, clip, video, figure, name)
            _push(self._worst, shown, self._size)
            _push(self._best, (-badness, self._count, shown), self._size)

    def worst(self) -> list[Shown]:
        """The worst clips, worst first."""
        return sorted(self._worst, reverse=True)

    def best(self) -> list[Shown]:
        """The best clips that are not among the worst, best first."""
        bad = {shown.number for shown in self._worst}
        return sorted(shown for _, number, shown in self._best if number not in bad)


def _push(heap: list, item: object, size: int) -> None:  # type: ignore[type-arg]
    if len(heap) < size:
        heapq.heappush(heap, item)
    else:
        heapq.heappushpop(heap, item)
