"""Multi-objective asynchronous successive halving (MO-ASHA, arXiv 2106.12639): who goes on at a rung."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import signs
from drivereplay.spec import Spec


class Halving:
    """Which trials go on at a rung.

    Rungs lie after g, g·η, g·η², ... evaluations of a trial. A trial that arrives at a rung goes on if it is among the
    best ⌈n/η⌉ of the n that have arrived there, itself included. The best are found by non-dominated sorting; within
    one rank an ε-net decides, that is, the point farthest from those already chosen comes next, so that the whole
    width of a front goes on and not one end of it. A trial that was stopped, and is among the best once more have
    arrived, may be taken up again from its checkpoint (`rescued`).

    Args:
        grace: g, evaluations before a trial can be stopped.
        reduction: η.
        objectives: Metric names.
        directions: `min` or `max` of each.
        every: Optimiser steps between evaluations.
        steps: Optimiser steps of a whole trial.
    """

    def __init__(
        self,
        grace: int,
        reduction: float,
        objectives: Sequence[str],
        directions: Sequence[str],
        every: int,
        steps: int,
    ) -> None:
        self._objectives = tuple(objectives)
        self._signs = signs(directions)
        self._steps = steps
        self._reduction = reduction
        self.rungs: tuple[int, ...] = tuple(_rungs(grace, reduction, every, steps))
        """Steps at which it is decided who goes on."""
        self._arrived: dict[int, dict[str, NDArray[np.float64]]] = {step: {} for step in self.rungs}
        self._went_on: dict[int, set[str]] = {step: set() for step in self.rungs}

    @classmethod
    def of(cls, spec: Spec, directions: Sequence[str]) -> Halving | None:
        """As the experiment asks for it; None without `search.scheduler`.

        Raises:
            SpecError: There is a scheduler, but a trial is evaluated only at its end.
        """
        asked = spec.search.scheduler
        if asked is None:
            return None
        every = spec.evaluation.every
        if every is None or every * asked.grace >= spec.training.steps:
            raise SpecError(
                f"search.scheduler: no trial could be stopped: evaluation.every is {every}, a trial has "
                f"{spec.training.steps} steps and a grace of {asked.grace} evaluations.",
                "Set evaluation.every to a part of training.steps.",
            )
        objectives = spec.search.objectives
        return cls(asked.grace, asked.reduction, objectives, directions, every, spec.training.steps)

    def arrive(self, candidate: Candidate) -> bool:
        """Book an evaluated checkpoint; whether its trial goes on."""
        if candidate.step not in self._arrived or candidate.variant:
            return True
        costs = np.array(candidate.values(self._objectives)) * self._signs
        if not np.isfinite(costs).all():
            return True  # it is about to fail by itself
        self._arrived[candidate.step][candidate.trial] = costs
        if candidate.trial in self._went_on[candidate.step]:
            return True  # it was taken up again and has only repeated what is known
        if candidate.trial not in self._best(candidate.step):
            return False
        self._went_on[candidate.step].add(candidate.trial)
        return True

    def restore(self, candidates: Iterable[Candidate]) -> None:
        """Take in what an earlier driver has seen: whoever was evaluated later than a rung went on there."""
        rows = [row for row in candidates if row.kind == "trial" and not row.variant and row.status != "failed"]
        last: dict[str, int] = {}
        for row in rows:
            last[row.trial] = max(last.get(row.trial, 0), row.step)
        for row in rows:
            costs = np.array(row.values(self._objectives)) * self._signs
            if row.step in self._arrived and np.isfinite(costs).all():
                self._arrived[row.step][row.trial] = costs
                if last[row.trial] > row.step or row.status == "running":
                    self._went_on[row.step].add(row.trial)

    def forget(self, trial: str) -> None:
        """A trial is begun anew with other values."""
        for step in self.rungs:
            self._arrived[step].pop(trial, None)
            self._went_on[step].discard(trial)

    def rescued(self, stopped: Container[str]) -> str | None:
        """One of the stopped trials that by now belongs to those who go on, highest rung first.

        From here on it counts as one that went on.
        """
        for step in reversed(self.rungs):
            for trial in self._best(step):
                if trial not in self._went_on[step] and trial in stopped:
                    self._went_on[step].add(trial)
                    return trial
        return None

    def _best(self, step: int) -> list[str]:
        arrived = self._arrived[step]
        if not arrived:
            return []
        names = list(arrived)
        order = ranked(np.array([arrived[name] for name in names]))
        keep = int(np.ceil(len(names) / self._reduction))
        return [names[i] for i in order[:keep]]


def ranked(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of (n, m) costs from best to worst: by non-dominated sorting, then by ε-net within a rank.

    The net of the first rank begins at the point with the best sum of scaled objectives; each further point is the one
    farthest from all that have been chosen before it, in earlier ranks too.
    """
    span = np.ptp(costs, axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    ranks = moocore.pareto_rank(costs)
    chosen: list[int] = []
    gap = np.full(len(costs), np.inf)
    for rank in np.unique(ranks):
        waiting = list(np.flatnonzero(ranks == rank))
        while waiting:
            one = (
                max(waiting, key=lambda i: gap[i])
                if chosen
                else min(waiting, key=lambda i: (float(scaled[i].sum()), int(i)))
            )
            waiting.remove(one)
            chosen.append(int(one))
            gap = np.minimum(gap, np.linalg.norm(scaled - scaled[one], axis=1))
    return np.array(chosen, dtype=np.intp)


def _rungs(grace: int, reduction: float, every: int, steps: int) -> list[int]:
    rungs: list[int] = []
    evaluations = float(grace)
    while round(evaluations) * every < steps:
        rungs.append(round(evaluations) * every)
        evaluations *= reduction
    return list(dict.fromkeys(rungs))
