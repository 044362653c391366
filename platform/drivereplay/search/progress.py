"""A line for each evaluated candidate, and one for each trial that has ended, while a sweep runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from drivereplay.evaluation.report import Report
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front
from drivereplay.spec import Spec
from drivereplay.storage import Storage


class Lines:
    """Prints to standard error: which trial, how it was judged, the front so far, and how long the rest may take.

    Args:
        spec: The experiment.
        anchors: Number of anchors.
    """

    def __init__(self, spec: Spec, anchors: int) -> None:
        self._objectives = spec.search.objectives
        self._total = anchors + spec.search.trials
        self._started_s = time.monotonic()
        self._before: int | None = None

    def started(self, spec: Spec, directory: Storage) -> None:
        """Where the results go."""
        _say(f"sweep '{spec.name}': {self._total} trials, results in {directory.uri}")

    def candidate_evaluated(self, candidate: Candidate, report: Report | None) -> None:
        """What came out."""
        values = " ".join(f"{name} {candidate.metrics.get(name, '-')}" for name in self._objectives)
        setting = " ".join(f"{key.rpartition('.')[2]}={_short(value)}" for key, value in candidate.parameters.items())
        _say(f"{candidate.name} {setting} | {values}")

    def trial_ended(self, candidates: Sequence[Candidate], front: Front) -> None:
        """How it ended, and how long the rest may take."""
        ended = len({c.trial for c in front.candidates if c.status != "running"})
        progress = f"{ended}/{self._total}{self._rest(ended)}"
        last = candidates[-1]
        if last.status in ("failed", "stopped"):
            _say(f"{last.name}: {last.status}, {last.reason} | {progress}")
            return
        on_front = {c.name for c in front.front}
        place = "on the front" if any(c.name in on_front for c in candidates) else "not on the front"
        volume = "" if front.hypervolume is None else f" | hypervolume {front.hypervolume:.4g}"
        _say(f"{last.trial}: {last.status}, {place}{volume} | {progress}")

    def ended(self, front: Front) -> None:
        """Nothing: the caller shows the front."""

    def _rest(self, ended: int) -> str:
        if self._before is None:
            self._before = ended - 1
        here = ended - self._before
        if ended >= self._total or here < 1:
            return ""
        rest_s = (time.monotonic() - self._started_s) / here * (self._total - ended)
        return f", about {rest_s / 60:.0f} min left" if rest_s >= 90 else f", about {rest_s:.0f} s left"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "/".join(_short(v) for v in value) if isinstance(value, list | tuple) else str(value)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
