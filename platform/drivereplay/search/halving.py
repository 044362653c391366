"""Multi-objective asynchronous successive halving (MO-ASHA, arXiv 2106.12639): who goes on at a rung."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Iterable, Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import SpecError
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import signs
from drivereplay.spec import Spec

SPACING = 3.0
"""η of the rungs' places where none is given."""
EVIDENCE = 6
"""Trials that must have gone from a rung to the end before it is believed that the rung predicts anything."""
SURE = 1.96
"""Standard errors that a rank correlation must lie above 0."""
USEFUL = 0.6
"""Rank correlation (Kendall's τ) below which stopping half of the trials loses more than it saves."""
PROBES = 1 / 3
"""Trials that go on whatever the rung says, as a share of those that go on by it: they keep the correlation honest."""


class Halving:
    """Which trials go on at a rung.

    Rungs lie after g, g·η, g·η², ... evaluations of a trial. A rung stops nothing until it has been seen to predict the
    end: Kendall's τ between the figures at the rung and those at the end, the least of all objectives, over trials that
    went on whatever the rung said (the first ones, anchors, and probes drawn by their names). After that a trial goes
    on if it is among the best ⌈n·f⌉ of the n that have arrived there, itself included. f is 1/η where η is given;
    otherwise the larger of the share that costs as much after the rung as all trials do before it, of 1 − τ, and of one
    over the number of trials that τ rests on; what nothing dominates at the rung goes on in any case.

    The best are found by non-dominated sorting; within one rank an ε-net decides, that is, the point farthest from
    those already chosen comes next, so that the whole width of a front goes on and not one end of it. A trial that was
    stopped, and is among the best once more have arrived, may be taken up again from its checkpoint (`rescued`).

    Args:
        grace: g, evaluations before a trial can be stopped.
        reduction: η; None places rungs by 3 and lets f follow from what is measured.
        objectives: Metric names.
        directions: `min` or `max` of each.
        every: Optimiser steps between evaluations.
        steps: Optimiser steps of a whole trial.
    """

    def __init__(
        self,
        grace: int,
        reduction: float | None,
        objectives: Sequence[str],
        directions: Sequence[str],
        every: int,
        steps: int,
    ) -> None:
        self._objectives = tuple(objectives)
        self._signs = signs(directions)
        self._steps = steps
        self._reduction = reduction
        self.rungs: tuple[int, ...] = tuple(_rungs(grace, reduction or SPACING, every, steps))
        """Steps at which it is decided who goes on."""
        self._arrived: dict[int, dict[str, NDArray[np.float64]]] = {step: {} for step in self.rungs}
        self._went_on: dict[int, set[str]] = {step: set() for step in self.rungs}
        # costs at a rung of trials that went on whatever it said, and of all trials at the end
        self._unselected: dict[int, dict[str, NDArray[np.float64]]] = {step: {} for step in self.rungs}
        self._ends: dict[str, NDArray[np.float64]] = {}
        self._shares: dict[int, tuple[int, float]] = {}

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
        costs = np.array(candidate.values(self._objectives)) * self._signs
        if candidate.variant or not np.isfinite(costs).all():
            return True  # without finite figures it is about to fail by itself
        self._learn(candidate, costs)
        step, trial = candidate.step, candidate.trial
        if candidate.kind != "trial" or step not in self._arrived:
            return True
        self._arrived[step][trial] = costs
        if trial in self._went_on[step]:
            return True  # it was taken up again and has only repeated what is known
        share = self.share(step)
        probed = _drawn(trial, step) < share * PROBES
        if share >= 1.0 or probed:
            self._unselected[step][trial] = costs
        if not probed and trial not in self._best(step):
            return False
        self._went_on[step].add(trial)
        return True

    def share(self, step: int) -> float:
        """f of a rung: the share of the trials that goes on there; 1 while it is not known to predict the end."""
        both = [trial for trial in self._unselected[step] if trial in self._ends]
        count = len(both)
        if count < EVIDENCE:
            return 1.0
        known = self._shares.get(step)
        if known is None or known[0] != count:
            early = np.array([self._unselected[step][trial] for trial in both])
            late = np.array([self._ends[trial] for trial in both])
            agreement = min(_kendall(early[:, j], late[:, j]) for j in range(late.shape[1]))
            known = (count, self._share(step, agreement, count))
            self._shares[step] = known
        return known[1]

    def _share(self, step: int, agreement: float, count: int) -> float:
        # of Kendall's τ without any relation
        error = math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))
        if agreement < max(USEFUL, SURE * error):
            return 1.0
        if self._reduction is not None:
            return 1.0 / self._reduction
        following = next((rung for rung in self.rungs if rung > step), self._steps)
        return min(1.0, max(step / (following - step), 1.0 - agreement, 1.0 / count))

    def _learn(self, candidate: Candidate, costs: NDArray[np.float64]) -> None:
        """What an anchor shows at a rung, and any trial at the end."""
        if candidate.kind == "replicate":
            return
        if candidate.step >= self._steps:
            self._ends[candidate.trial] = costs
        elif candidate.kind != "trial" and candidate.step in self._unselected:
            self._unselected[candidate.step][candidate.trial] = costs

    def restore(self, candidates: Iterable[Candidate]) -> None:
        """Take in what an earlier driver has seen: whoever was evaluated later than a rung went on there."""
        rows = [row for row in candidates if not row.variant and row.status != "failed"]
        last: dict[str, int] = {}
        for row in rows:
            last[row.trial] = max(last.get(row.trial, 0), row.step)
        for row in rows:
            costs = np.array(row.values(self._objectives)) * self._signs
            if not np.isfinite(costs).all():
                continue
            self._learn(row, costs)
            if row.kind != "trial" or row.step not in self._arrived:
                continue
            # the first ones went on whatever the rung said, as did those drawn by their names
            first = len(self._arrived[row.step]) < EVIDENCE
            if first or _drawn(row.trial, row.step) < PROBES / 20:
                self._unselected[row.step][row.trial] = costs
            self._arrived[row.step][row.trial] = costs
            if last[row.trial] > row.step or row.status == "running":
                self._went_on[row.step].add(row.trial)

    def forget(self, trial: str) -> None:
        """A trial is begun anew with other values."""
        self._ends.pop(trial, None)
        for step in self.rungs:
            self._arrived[step].pop(trial, None)
            self._unselected[step].pop(trial, None)
            self._went_on[step].discard(trial)

    def rescued(self, stopped: Container[str]) -> str | None:
        """One of the stopped trials that by now belongs to those who go on, highest rung first.

        From here on it counts as one that went on. A rung that has turned out not to predict calls nobody back.
        """
        for step in reversed(self.rungs):
            if self.share(step) >= 1.0:
                continue
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
        costs = np.array([arrived[name] for name in names])
        order = ranked(costs)
        keep = math.ceil(len(names) * self.share(step) - 1e-9)
        if self._reduction is None:
            # a sampler that has learnt proposes little but the front, of which a fixed share would throw most away
            keep = max(keep, int(moocore.is_nondominated(costs, keep_weakly=True).sum()))
        return [names[i] for i in order[:keep]]


def _kendall(early: NDArray[np.float64], late: NDArray[np.float64]) -> float:
    """Kendall's τ-a: the share of pairs in the same order less that of pairs in the opposite one."""
    pairs = np.triu_indices(len(early), 1)
    same = np.sign(early[:, None] - early[None])[pairs] * np.sign(late[:, None] - late[None])[pairs]
    return float(same.mean())


def _drawn(trial: str, step: int) -> float:
    """A number in [0, 1) of a trial and a rung, the same in every driver."""
    return int.from_bytes(hashlib.sha256(f"{trial}/{step}".encode()).digest()[:4], "big") / 2**32


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
