"""Trial runners whose front is known, so that the search is tested without training anything."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from drivereplay.errors import DriveReplayError
from drivereplay.evaluation.report import Estimate
from drivereplay.search.trial import Emit, Outcome, TrialRequest
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage


def experiment(storage: Path, **search: Any) -> Spec:
    """A small experiment with three replay domains; what is trained on does not matter to the runners here."""
    source = {"kind": "videos", "path": "/nowhere"}
    return parse_spec(
        {
            "name": search.pop("name", "probe"),
            "seed": search.pop("seed", 0),
            "storage": str(storage),
            "target": {"name": "driving", "source": source},
            "replay": {"frequency": 0.25, "domains": [{"name": n, "source": source} for n in ("a", "b", "c")]},
            "training": {"steps": search.pop("steps", 30)},
            "evaluation": {"every": search.pop("every", None)},
            "search": {
                "objectives": ["loss.looks", "loss.motion"],
                "space": {"replay.frequency": {"uniform": [0.0, 0.6]}, "replay.weights": "simplex"},
                "trials": 6,
                "concurrent": 2,
                **search,
            },
        }
    )


@dataclass
class Analytic:
    """Looks suffer from replay, motion suffers from the lack of it; both improve with the steps.

    Attributes:
        faults: Trial id → what happens to it: `nan`, `missing`, `raise`, `error`, `exit` (the process dies, always),
            `die-once` (the process dies at the first attempt).
        log: Directory in which every attempt leaves a file.
    """

    faults: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    ways: tuple[str, ...] = ("min", "min")

    def directions(self, objectives: Sequence[str]) -> tuple[str, ...]:
        named = dict(zip(("loss.looks", "loss.motion"), self.ways, strict=True))
        return tuple(named[name] for name in objectives)

    def prepare(self, spec: Spec) -> dict[str, Any]:
        return {}

    def run(
        self,
        spec: Spec,
        request: TrialRequest,
        directory: Storage,
        done: Mapping[tuple[int, str], Outcome],
        emit: Emit,
    ) -> None:
        if self.log is not None:
            attempt = len(list(self.log.glob(f"{request.trial}.*")))
            (self.log / f"{request.trial}.{attempt}").write_text(str(os.getpid()))
        fault = self.faults.get(request.trial, "")
        if fault == "error":
            raise DriveReplayError("The clip a/b is broken.", "Remove it.")
        if fault == "raise":
            raise ZeroDivisionError("a trial's own trouble")
        if fault == "exit" or (fault == "die-once" and self.log is not None and attempt == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        for step in self.steps(spec, request):
            known = done.get((step, ""))
            if not emit(known or self.outcome(spec, request, step, fault)):
                return

    def steps(self, spec: Spec, request: TrialRequest) -> list[int]:
        if request.kind == "base":
            return [0]
        every = spec.evaluation.every or spec.training.steps
        return sorted({*range(every, spec.training.steps + 1, every), spec.training.steps})

    def outcome(self, spec: Spec, request: TrialRequest, step: int, fault: str = "") -> Outcome:
        looks, motion = self.values(spec, step)
        metrics = {"loss.looks": Estimate(looks, looks - 0.05, looks + 0.05, 8)}
        if fault == "nan":
            motion = math.nan
        if fault != "missing":
            metrics["loss.motion"] = Estimate(motion, motion - 0.05, motion + 0.05, 8)
        return Outcome(step, metrics, "one-protocol", {"total_s": float(step), "device_hours": step / 3600.0})

    def values(self, spec: Spec, step: int) -> tuple[float, float]:
        rho, mix = spec.replay.frequency, np.array(spec.replay.mix)
        progress = 1.0 - math.exp(-step / 20.0)
        gap = float(((mix - np.array([0.6, 0.3, 0.1])) ** 2).sum()) if rho > 0 else 0.0
        looks = 1.0 - progress * (1.0 - rho) ** 0.5 + 0.1
        motion = 1.0 + progress * (0.5 * (1.0 - rho) ** 2 - 0.6 * rho * (1.0 - gap))
        return looks, motion


@dataclass
class Told:
    """A listener that remembers.

    Attributes:
        evaluated: Names of candidates, as they were evaluated.
        names: Names of candidates, as their trials ended.
        volumes: Hypervolume after each trial.
    """

    evaluated: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    volumes: list[float | None] = field(default_factory=list)
    begun: int = 0
    finished: int = 0
    after: Callable[[str], None] | None = None

    def started(self, spec: Spec, directory: Storage) -> None:
        self.begun += 1

    def candidate_evaluated(self, candidate: Any, report: Any) -> None:
        self.evaluated.append(candidate.name)

    def trial_ended(self, candidates: Any, front: Any) -> None:
        self.volumes.append(front.hypervolume)
        for candidate in candidates:
            self.names.append(candidate.name)
            if self.after is not None:
                self.after(candidate.name)

    def ended(self, front: Any) -> None:
        self.finished += 1
