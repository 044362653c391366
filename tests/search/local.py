"""A sweep whose trials run in this process instead of Ray Tune: everything else is the real thing, and it is quick.

`python -m tests.search.local STORAGE LOG [--resume] [--slow-ms N]` runs one from the command line, to be killed.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tests.search.problems import Analytic, experiment

from drivereplay.search import sweep as module
from drivereplay.search.candidates import Candidate
from drivereplay.search.front import Front
from drivereplay.search.trial import TrialRequest
from drivereplay.search.worker import TrialRecord
from drivereplay.spec import Spec
from drivereplay.storage import Storage

SEARCHER_FINISHED = "FINISHED"


@dataclass
class LocalTune:
    """Calls the searcher and the trials as Ray Tune does; up to `concurrent` trials are begun before one is run.

    Attributes:
        order: Draws which of the live trials runs next.
        pause_s: Waited within each trial, so that a kill finds it at work.
    """

    order: random.Random
    pause_s: float = 0.0

    def __call__(self, spec: Spec, runner: Any, search: Any, resources: Any, storage: Storage, halving: Any) -> None:
        live: list[tuple[str, TrialRequest]] = []
        number = 0
        while True:
            suggested = search.suggest(f"tune{number}")
            if isinstance(suggested, dict):
                live.append((f"tune{number}", TrialRequest.from_json(json.loads(suggested["request"]))))
                number += 1
                continue
            if suggested == SEARCHER_FINISHED and not live:
                return
            assert live, "the searcher waits although nothing runs"
            name, request = live.pop(self.order.randrange(len(live)))
            self._run(name, request, spec, runner, search, storage, halving)

    def _run(
        self, name: str, request: TrialRequest, spec: Spec, runner: Any, search: Any, storage: Storage, halving: Any
    ) -> None:
        last: dict[str, Any] = {}

        def report(candidate: Candidate) -> bool:
            last["candidate"] = json.dumps(candidate.to_json())
            if self.pause_s:
                threading.Event().wait(self.pause_s)
            if halving is not None and candidate.status == "running" and not halving.arrive(candidate):
                search.stopping(name)
                return False
            search.on_trial_result(name, dict(last))
            return True

        record = TrialRecord(spec, runner, request, storage.below("trials", request.trial), report)
        record.run()
        if record.environment:
            last = {"environment": record.environment}
        search.on_trial_complete(name, result={**last, "done": True} if last else None)


def sweep_locally(spec: Spec, *, seed: int = 0, pause_s: float = 0.0, **arguments: Any) -> Front:
    """`sweep` without Ray; arguments as there."""
    with ExitStack() as stack:
        for name, value in {
            "_tune": LocalTune(random.Random(seed), pause_s),
            "ensure_ray": lambda: None,
            "require_shared": lambda storage: None,
            "cluster_nodes": lambda: [{"CPU": 64.0}],
        }.items():
            stack.enter_context(mock.patch.object(module, name, value))
        return module.sweep(spec, show_progress=False, **arguments)


def main(arguments: list[str]) -> None:
    storage, log = Path(arguments[0]), Path(arguments[1])
    pause_s = float(arguments[2])
    spec = experiment(storage, trials=8, every=10, concurrent=3)
    sweep_locally(spec, pause_s=pause_s, resume=True, runner=Analytic(log=log))


if __name__ == "__main__":
    main(sys.argv[1:])
