"""`train`: one fine-tuning run outside a sweep, with its evaluations."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivereplay.errors import SpecError
from drivereplay.search.environment import environment
from drivereplay.search.trial import FineTuning, Outcome, TrialRequest
from drivereplay.spec import Spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.evaluation.report import Report


@dataclass(frozen=True)
class TrialOutcome:
    """How a run outside a sweep went.

    Attributes:
        status: `finished`, `stopped` or `failed`.
        steps: Optimiser steps behind the last checkpoint.
        seconds: Wall time.
        directory: Of the run.
        report: The last evaluation.
    """

    status: str
    steps: int
    seconds: float
    directory: str
    report: Report | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "status": self.status,
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "directory": self.directory,
            "report": None if self.report is None else self.report.to_json(),
        }


def run_single(
    spec: Spec,
    *,
    resume: bool = False,
    show_progress: bool = True,
    told: Callable[[Storage, Outcome | None], None] | None = None,
) -> TrialOutcome:
    """One fine-tuning run with its evaluations, in `<storage>/<name>/trials/run`.

    Args:
        spec: The experiment.
        resume: Go on with the run that is there.
        show_progress: A bar in a terminal, lines in a log.
        told: Called with the run's directory and each outcome, and with None at the end.

    Raises:
        SpecError: A run is there already and `resume` is off.
        DriveReplayError: Whatever made it fail.
    """
    from drivereplay.session import ensure_ray
    from drivereplay.training.trainer import check_place

    started = time.monotonic()
    root = Storage.of(spec.storage).below(spec.name)
    directory = root.below("trials", "run")
    if directory.exists("checkpoints") and not resume:
        raise SpecError(
            f"{directory.uri} already holds a run.",
            "Go on with it by --resume, or choose another name by --set name=NAME.",
        )
    root.check_writable()
    runner = FineTuning(show_progress=show_progress)
    runner.check(spec)
    ensure_ray()
    check_place(spec)
    for place in (root, directory):
        place.write("spec.yaml", spec.to_yaml().encode())
    root.write("environment.json", json.dumps(environment(spec, quality=runner.quality(spec)), indent=1).encode())
    request = TrialRequest("run", "trial", spec.seed, {}, "run")
    last: list[Outcome] = []

    def emit(outcome: Outcome) -> bool:
        last.append(outcome)
        if told is not None:
            told(directory, outcome)
        return True

    runner.run(spec, request, directory, {}, emit)
    if told is not None:
        told(directory, None)
    report = last[-1].report if last else None
    return TrialOutcome("finished", spec.training.steps, time.monotonic() - started, directory.uri, report)
