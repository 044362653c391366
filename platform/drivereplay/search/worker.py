"""What runs in a trial's process: the runner, and the record on disk that is written before the driver hears of it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from drivereplay.errors import DriveReplayError
from drivereplay.evaluation.report import Estimate
from drivereplay.logs import fields, install
from drivereplay.search.candidates import Candidate, trial_candidates, write_trial_candidates
from drivereplay.search.constraints import COSTS
from drivereplay.search.failures import PAUSES_S, environment_failure
from drivereplay.search.same import trained_with
from drivereplay.search.trial import Outcome, TrialRequest, TrialRunner
from drivereplay.spec import Spec
from drivereplay.storage import Storage

logger = logging.getLogger(__name__)
ENVIRONMENT = "environment"
"""Key of a result that says what failed in the environment."""
REQUEST = "request.json"
"""What an attempt at a trial was asked for, below the trial's directory."""


def run_trial(config: Mapping[str, Any], *, spec: Spec, runner: TrialRunner) -> None:
    """The Tune function trainable: runs one trial and reports each candidate.

    A failure ends the trial with a candidate of status `failed`, not with an exception, so that Tune does not try it
    again; a killed process is what Tune's own retries are for.
    """
    from ray import tune

    _log_structured()
    # the thread of a stopped trial may be writing a checkpoint; the process is only reused once it has ended
    os.environ.setdefault("TUNE_FUNCTION_THREAD_TIMEOUT_S", "120")
    request = TrialRequest.from_json(json.loads(config["request"]))
    objectives = spec.search.objectives

    def report(candidate: Candidate) -> bool:
        values = dict(zip(objectives, candidate.values(objectives), strict=True))
        try:
            tune.report({**values, "candidate": json.dumps(candidate.to_json()), "step": candidate.step})
        except SystemExit:
            # this is how Tune ends a function trainable; the runner shall end the trial in its own way
            return False
        return True

    directory = Storage.of(spec.storage).below(spec.name, "trials", request.trial)
    with fields(trial=request.trial):
        logger.info("trial begins: %s", dict(request.parameters))
        record = TrialRecord(spec, runner, request, directory, report)
        goes_on = record.run()
        logger.info("trial has ended")
    release_memory()
    if record.environment:
        time.sleep(PAUSES_S[min(request.attempt, len(PAUSES_S) - 1)])
        tune.report({ENVIRONMENT: record.environment})
        return
    if not goes_on:
        sys.exit(0)


def release_memory() -> None:
    """Give what has been freed back to the system, where the C library is one that keeps it.

    Each trial runs in threads of its own in one process, and glibc keeps for the threads to come what they leave: twice
    the memory of a trial after ten of them.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _log_structured() -> None:
    """Log JSON lines where this is a worker's process of Ray; elsewhere logging is the program's own business."""
    import ray

    if ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE:
        install()


class TrialRecord:
    """Runs one trial and keeps its `candidates.json`.

    Args:
        spec: The sweep's experiment.
        runner: What is run.
        request: The trial.
        directory: `trials/<id>`.
        report: Tells the driver; False when the driver wants the trial to end.
    """

    def __init__(self, spec: Spec, runner: TrialRunner, request: TrialRequest, directory: Storage, report: Any) -> None:
        self._spec = spec
        self._runner = runner
        self._request = request
        self._directory = directory
        self._report = report
        self._rows: list[Candidate] = []
        self._go_on = True
        self._trained = trained_with(spec)
        self.environment = ""
        """What failed in the environment; the record is then open, and the trial can be asked for again."""

    def run(self) -> bool:
        """Run it to its end; returns False if the driver stopped it.

        An attempt that has already ended (the driver was killed before it heard of it) is only reported again. One that
        was cut off is continued, unless its values were others: then nothing of it is used. One that has finished
        continues if the experiment has more steps by now.
        """
        try:
            return self._run()
        except OSError as error:
            # the record itself could not be written
            self._fail_or_blame(error, f"{type(error).__name__}: {error}")
        return self._go_on

    def _run(self) -> bool:
        earlier = trial_candidates(self._directory)
        if self._request.again:
            earlier = tuple(replace(r, status="running", reason="") if r.status == "stopped" else r for r in earlier)
        if earlier and all(row.status != "running" for row in earlier) and not wants_more(earlier, self._spec):
            for row in earlier:
                self._go_on = self._report(row) and self._go_on
            return self._go_on
        if not self._goes_on():
            self._directory.delete("")
            earlier = ()
        self._rows = list(earlier)
        done = {(row.step, row.variant): _outcome(row) for row in earlier}
        try:
            spec = self._request.spec(self._spec)
            self._directory.write(REQUEST, self._request.identity.encode())
            self._directory.write("spec.yaml", spec.to_yaml().encode())
            self._runner.run(spec, self._request, self._directory, done, self._emit)
        except DriveReplayError as error:
            self._fail_or_blame(error, str(error))
        except Exception as error:
            logger.exception("Trial %s failed", self._request.trial)
            self._fail_or_blame(error, f"{type(error).__name__}: {error}")
        else:
            self._end()
        return self._go_on

    def _fail_or_blame(self, error: BaseException, reason: str) -> None:
        """Close the record as failed, unless the environment is to blame: then it stays open for another attempt."""
        self.environment = environment_failure(error)
        if not self.environment:
            self._fail(reason)

    def _goes_on(self) -> bool:
        """Whether an earlier attempt had the same values; the space, the seed or an anchor may have been changed."""
        identity = self._request.identity.encode()
        return self._directory.exists(REQUEST) and self._directory.read(REQUEST) == identity

    def _emit(self, outcome: Outcome) -> bool:
        asked = {*self._spec.search.objectives, *self._spec.search.constraints} & set(COSTS)
        values = {name: outcome.cost.get(name.removeprefix("cost."), math.nan) for name in sorted(asked)}
        costs = {name: Estimate(value, value, value, 1) for name, value in values.items()}
        row = Candidate(
            trial=self._request.trial,
            step=outcome.step,
            seed=self._request.seed,
            kind=self._request.kind,
            parameters=self._request.parameters,
            metrics={**outcome.metrics, **costs},
            figures=outcome.figures,
            cost=outcome.cost,
            protocol=outcome.protocol,
            setting=self._request.setting,
            variant=outcome.variant,
            checkpoint=f"trials/{self._request.trial}/{outcome.checkpoint}" if outcome.checkpoint else "",
            trained=self._trained,
        )
        finished = {known.name: known for known in self._rows if known.status == "finished"}
        row = finished.get(row.name, row)  # of a trial that is trained further
        why = unusable(row, self._spec.search.objectives)
        if why:
            row = replace(row, status="failed", reason=why)
        self._rows = [*(known for known in self._rows if known.name != row.name), row]
        write_trial_candidates(self._directory, self._rows)
        self._go_on = self._report(row) and self._go_on
        return self._go_on and not why

    def _fail(self, reason: str) -> None:
        if not self._rows:
            request = self._request
            row = Candidate(request.trial, -1, request.seed, request.kind, request.parameters, setting=request.setting)
            self._rows = [replace(row, trained=self._trained)]
        self._close("failed", reason)
        if self._go_on:
            self._go_on = self._report(self._rows[-1])

    def _end(self) -> None:
        failed = [row for row in self._rows if row.status == "failed"]
        if not self._rows:
            self._fail("The trial ended without an evaluated checkpoint.")
        elif failed:
            self._close("failed", failed[0].reason)
        else:
            self._close(*(("finished", "") if self._go_on else ("stopped", "stopped early by the scheduler")))

    def _close(self, status: Any, reason: str) -> None:
        self._rows = [
            replace(row, status=status, reason=reason) if row.status == "running" else row for row in self._rows
        ]
        write_trial_candidates(self._directory, self._rows)


def wants_more(rows: Sequence[Candidate], spec: Spec) -> bool:
    """Whether a trial has finished, with fewer steps than the experiment has by now."""
    plain = [row for row in rows if not row.variant]
    finished = bool(plain) and all(row.status == "finished" and row.kind != "base" for row in plain)
    return finished and max(row.step for row in plain) < spec.training.steps


def unusable(candidate: Candidate, objectives: Sequence[str]) -> str:
    """Why the candidate cannot be on a front, or an empty text."""
    missing = [name for name in objectives if name not in candidate.metrics]
    if missing:
        held = ", ".join(sorted(candidate.metrics)) or "none"
        return f"its report does not hold the objective {', '.join(missing)}; it holds {held}"
    bad = {n: v for n, v in zip(objectives, candidate.values(objectives), strict=True) if not math.isfinite(v)}
    return "; ".join(f"objective {name} is {value}" for name, value in bad.items())


def _outcome(row: Candidate) -> Outcome:
    checkpoint = row.checkpoint.removeprefix(f"trials/{row.trial}/")
    return Outcome(row.step, row.metrics, row.protocol, row.cost, row.variant, checkpoint, figures=row.figures)
