"""Ray Tune's side of early stopping: stops what `drivereplay.search.halving` decides to stop."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from drivereplay.search.candidates import Candidate
from drivereplay.search.halving import Halving

if TYPE_CHECKING:
    from drivereplay.search.searcher import SweepSearch


class SweepScheduler(FIFOScheduler):
    """Lets Ray Tune stop trials as `Halving` decides; Ray's own schedulers look at one metric only.

    Args:
        halving: The decisions; None stops nothing.
        search: Is notified of each stop and of each lost process, because Tune tells a searcher only that a trial has
            ended.
    """

    def __init__(self, halving: Halving | None, search: SweepSearch) -> None:
        super().__init__()
        self._halving = halving
        self._search = search

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's own resume is not used

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop or continue."""
        text = result.get("candidate")
        if self._halving is None or not text or result.get("done"):
            return str(TrialScheduler.CONTINUE)
        candidate = Candidate.from_json(json.loads(text))
        if candidate.status != "running" or self._halving.arrive(candidate):
            return str(TrialScheduler.CONTINUE)
        self._search.stopping(trial.trial_id)
        return str(TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A process has died too often; Tune calls this before it tells the searcher."""
        self._search.lost(trial.trial_id, trial.get_pickled_error())
