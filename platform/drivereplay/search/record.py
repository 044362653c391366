"""What a sweep has found so far: the table, the reference point, the front, and those who are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, Protocol

from drivereplay.errors import DataError, DriveReplayError
from drivereplay.evaluation.report import Report
from drivereplay.search.agenda import Ended
from drivereplay.search.candidates import Candidate, CandidateTable, trial_candidates
from drivereplay.search.constraints import Limit, violations_of
from drivereplay.search.front import (
    FILE,
    Front,
    Reference,
    front_of,
    one_protocol,
    read_front_file,
    reference_of,
    stored_reference,
)
from drivereplay.search.same import trained_with
from drivereplay.search.trial import TrialRequest, evaluation_name
from drivereplay.search.worker import wants_more
from drivereplay.spec import Spec
from drivereplay.storage import Storage


class SweepListener(Protocol):
    """Is notified of a sweep's progress, in the driver's process and thread.

    A driver notifies of each candidate twice: once when its checkpoint has been evaluated, and once, together with all
    other candidates of its trial, when the trial has ended. A trial that failed without any checkpoint only ends.
    """

    def started(self, spec: Spec, directory: Storage) -> None:
        """Before the first trial, also of a resumed sweep."""

    def candidate_evaluated(self, candidate: Candidate, report: Report | None) -> None:
        """A checkpoint has been evaluated; its trial goes on, so that it is not on the front yet.

        Args:
            candidate: `running`, or `failed` where an objective is not finite.
            report: The whole evaluation, where the runner gives one.
        """

    def trial_ended(self, candidates: Sequence[Candidate], front: Front) -> None:
        """A trial has ended.

        Args:
            candidates: All of the trial, `finished`, `stopped` or `failed`, in order of steps.
            front: As it is now.
        """

    def ended(self, front: Front) -> None:
        """After the last trial."""


class SweepRecord:
    """Keeps table and front of a running sweep.

    Args:
        spec: The experiment.
        directions: `min` or `max` of each objective.
        storage: Directory of the run.
        anchors: Kinds of the anchors that will run.
        listeners: Notified of each candidate.
        limits: Constraints on metrics.
        require: Called before anything is written; raises if another driver writes there now.
        earlier: The experiment as it was before this resume.
    """

    def __init__(
        self,
        spec: Spec,
        directions: Sequence[str],
        storage: Storage,
        anchors: Sequence[str],
        listeners: Sequence[SweepListener] = (),
        limits: Sequence[Limit] = (),
        require: Callable[[], None] = lambda: None,
        earlier: Spec | None = None,
    ) -> None:
        self._spec = spec
        self._require = require
        self._directions = tuple(directions)
        self._storage = storage
        self._listeners = listeners
        self._limits = tuple(limits)
        require()
        self._table = CandidateTable(storage, lazy=True)
        self._table.recover()
        # the experiment has been compared with the one that these were trained with (`same.check_same`)
        same = {trained_with(spec), "", *((trained_with(earlier),) if earlier is not None else ())}
        self._table.append(replace(c, trained=trained_with(spec)) for c in self.candidates if c.trained in same)
        one_protocol([c for c in self._table.candidates if c.status == "finished"])
        self._expected = [kind for kind in ("base", "naive") if kind in anchors]
        self.reference: Reference | None = None
        if storage.exists(FILE):
            self.reference = stored_reference(read_front_file(storage))
        self._front_due = 0.0
        self._announced: set[str] = set()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All rows."""
        return self._table.candidates

    def front(self, trials: Container[str] | None = None) -> Front:
        """The front as it is now; of some trials only."""
        objectives = self._spec.search.objectives
        candidates = [c for c in self.candidates if trials is None or c.trial in trials]
        return front_of(candidates, objectives, self._directions, self.reference, self._limits)

    def already_ended(self) -> dict[str, Ended]:
        """Trials that ended under an earlier driver."""
        by_trial: dict[str, list[Candidate]] = {}
        for row in self.candidates:
            by_trial.setdefault(row.trial, []).append(row)
        return {
            trial: self._ended(rows)
            for trial, rows in by_trial.items()
            if all(row.status != "running" for row in rows) and not wants_more(rows, self._spec)
        }

    def continued(self) -> dict[str, Mapping[str, Any]]:
        """Settings of finished trials that are trained further, because the experiment has more steps by now."""
        trials = dict.fromkeys(row.trial for row in self.candidates)
        found = {trial: self._table.of_trial(trial) for trial in trials}
        return {trial: rows[0].parameters for trial, rows in found.items() if wants_more(rows, self._spec)}

    def start(self) -> None:
        """Write a first `front.json`, so that the directory is a sweep from now on, and tell the listeners."""
        self._fix_reference()
        self._save(force=True)
        for listener in self._listeners:
            listener.started(self._spec, self._storage)

    def begins(self, request: TrialRequest) -> bool:
        """A trial is about to begin; whether there were rows of an attempt at it with other values, now let go of.

        Its worker deletes that attempt (see `drivereplay.search.worker`).
        """
        self._require()
        others = [
            row
            for row in self._table.of_trial(request.trial)
            if row.status != "finished"
            and replace(request, parameters=row.parameters, seed=row.seed).identity != request.identity
        ]
        self._table.forget(others)
        return bool(others)

    def evaluated(self, candidate: Candidate) -> None:
        """A worker has reported a candidate."""
        self._require()
        self._table.append([candidate])
        self._announce(candidate)

    def trial_ended(self, request: TrialRequest, *, stopped: bool = False, lost: str = "") -> Ended:
        """A trial has ended; what its worker has written counts, not what was reported.

        Args:
            stopped: The scheduler has ended it.
            lost: Why its process could not say itself how it ended.
        """
        self._require()
        written = trial_candidates(self._storage.below("trials", request.trial))
        self._table.append(written)
        if not self._table.of_trial(request.trial):
            row = Candidate(request.trial, -1, request.seed, request.kind, request.parameters, setting=request.setting)
            reason = lost or "it ended without a word"
            self._table.append([replace(row, status="failed", reason=reason, trained=trained_with(self._spec))])
        if stopped:
            rows = self._table.settle(request.trial, "stopped", "stopped early by the scheduler")
        else:
            rows = self._table.settle(request.trial, "failed", lost or "its process ended without closing its record")
        self._fix_reference()
        for row in rows:
            self._announce(row)
        if self._listeners:
            front = self.front()
            for listener in self._listeners:
                listener.trial_ended(rows, front)
        self._announced -= {row.name for row in rows}
        self._save()
        return self._ended(rows)

    def end(self) -> Front:
        """Write what waits, tell the listeners, and return the front."""
        self._require()
        self._table.flush()
        self._fix_reference(final=True)
        self._save(force=True)
        front = self.front()
        for listener in self._listeners:
            listener.ended(front)
        return front

    def flush(self) -> None:
        """Write what waits."""
        self._require()
        self._table.flush()
        self._save(force=True)

    def first_failure(self) -> Candidate | None:
        """The first failed candidate of the table, if any."""
        return next((row for row in self.candidates if row.status == "failed"), None)

    def _ended(self, rows: Sequence[Candidate]) -> Ended:
        plain, last = [row for row in rows if not row.variant], _last(rows)
        hours = max((row.cost.get("device_hours", 0.0) for row in rows), default=0.0)
        finished = all(row.status == "finished" for row in rows)
        objectives = self._spec.search.objectives
        steps = max(self._spec.training.steps, 1)
        sound = [row for row in plain if row.status in ("finished", "stopped")]
        return Ended(
            values=last.values(objectives) if finished else None,
            device_hours=hours,
            parameters=last.parameters,
            curve=tuple((row.step / steps, *row.values(objectives)) for row in sorted(sound, key=lambda r: r.step)),
            stopped=last.status == "stopped",
        )

    def worse_by(self, trial: str) -> tuple[float, ...]:
        """Violations of the constraints by a trial that has ended; empty if the base has not been evaluated."""
        if not self._limits:
            return ()
        found = violations_of(_last(self._table.of_trial(trial)), self._limits, self.candidates)
        return tuple(v if isfinite(v) else 1e9 for v in found)

    def protocol(self) -> str | None:
        """Of the finished candidates; None while there is none."""
        return one_protocol([c for c in self.candidates if c.status == "finished"])

    def _fix_reference(self, *, final: bool = False) -> None:
        """Once base and naive have ended, and never again."""
        if self.reference is not None:
            return
        search = self._spec.search
        ended = {row.kind for row in self.candidates if row.status != "running"}
        # without anchors it rests on all candidates, in whatever order they come: on the last one as well
        early = search.reference is not None or (self._expected and set(self._expected) <= ended)
        if not early and not final:
            return
        self.reference = reference_of(
            self.candidates, search.objectives, self._directions, search.reference, self._expected
        )

    def _announce(self, candidate: Candidate) -> None:
        """Notify of an evaluated checkpoint, once."""
        if not self._listeners or candidate.step < 0 or candidate.name in self._announced:
            return
        self._announced.add(candidate.name)
        report = self._report(candidate)
        for listener in self._listeners:
            listener.candidate_evaluated(candidate, report)

    def _report(self, candidate: Candidate) -> Report | None:
        directory = self._storage.below("trials", candidate.trial, "evaluations")
        name = f"{evaluation_name(candidate.step, candidate.variant)}.json"
        if not directory.exists(name):
            return None
        try:
            return Report.load(directory, name)
        except DataError as error:
            what = f"The evaluation of {candidate.name} cannot be read: {error.what}"
            raise DriveReplayError(what, error.fix) from error

    def _save(self, *, force: bool = False) -> None:
        """Write `front.json`; on the way only as often as leaves nineteen twentieths of the time for other things."""
        started = time.monotonic()
        if not force and started < self._front_due:
            return
        self.front().save(self._storage)
        now = time.monotonic()
        self._front_due = now + 20 * (now - started)


def _last(rows: Sequence[Candidate]) -> Candidate:
    """The last checkpoint speaks for its trial: that is the setting as it was asked for."""
    return max([row for row in rows if not row.variant] or rows, key=lambda row: row.step)
