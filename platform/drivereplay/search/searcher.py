"""The agenda as a Ray Tune searcher: `OptunaSearch` with an order, and without what it does to failed trials."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from drivereplay.search.agenda import Agenda, Round
from drivereplay.search.candidates import Candidate
from drivereplay.search.failures import RETRIES, environment_failure
from drivereplay.search.halving import Halving
from drivereplay.search.journal import Journal
from drivereplay.search.record import SweepRecord
from drivereplay.search.resources import TrialResources
from drivereplay.search.samplers import quiet_optuna
from drivereplay.search.space import Space
from drivereplay.search.suggestions import Suggestions, check_journal, study_name
from drivereplay.search.trial import TrialRequest
from drivereplay.search.worker import ENVIRONMENT
from drivereplay.spec import Spec

logger = logging.getLogger(__name__)
GIVE_UP_AFTER = 4


class SweepSearch(OptunaSearch):
    """Suggests what the agenda says and books what comes back.

    It differs from its base where that is known to go wrong (ray 2.60, optuna 5.0): a trial with a NaN objective would
    stay RUNNING for ever, a trial that the scheduler stopped would count as complete, and suggestions would depend on
    which trial happens to end first. Tune's own saved state is not used: the journal and the table are enough.

    Args:
        spec: The experiment.
        directions: `min` or `max` of each objective.
        space: What is searched.
        journal: Of the study.
        record: Table and front.
        resources: Trials at a time.
        lag: See `drivereplay.search.agenda.lag_of`.
        warm: Tells the study of an earlier sweep (see `Agenda`).
        halving: Early stopping.
        follow: Replicates (see `Agenda`).
        enough: Whether to make no further suggestions (see `Agenda`).
    """

    def __init__(
        self,
        spec: Spec,
        directions: Sequence[str],
        space: Space,
        journal: Journal,
        record: SweepRecord,
        resources: TrialResources,
        lag: int,
        *,
        warm: Callable[[Suggestions], None] | None = None,
        halving: Halving | None = None,
        follow: Round | None = None,
        enough: Callable[[Sequence[str]], bool] | None = None,
    ) -> None:
        quiet_optuna()
        storage = journal.storage()
        check_journal([study.study_name for study in storage.get_all_studies()], spec, "study.journal")
        super().__init__(
            space=space.suggest,
            metric=list(spec.search.objectives),
            mode=list(directions),
            study_name=study_name(spec, directions),
            storage=storage,
        )
        suggestions = Suggestions(self._ot_study, space, spec, journal)
        self.agenda = Agenda(
            spec,
            space,
            suggestions,
            concurrent=resources.concurrent,
            lag=lag,
            ended=record.already_ended(),
            continued=record.continued(),
            worse_by=record.worse_by,
            reference=lambda: None if record.reference is None else record.reference.point,
            warm=warm,
            halving=halving,
            follow=follow,
            enough=enough,
        )
        self._record = record
        self._halving = halving
        self._requests: dict[str, TrialRequest] = {}
        self._stopped: set[str] = set()
        self._failed = 0
        self._finished = 0
        self._lost: dict[str, str] = {}
        self.given_up: Candidate | None = None
        self.environment = ""
        """What in the environment ended a trial again and again; the sweep waits to be resumed."""

    def suggest(self, trial_id: str) -> Any:
        """The next trial as Tune's config, None to be asked again, or `FINISHED`."""
        if self.given_up is not None or self.environment:
            return Searcher.FINISHED
        following = self.agenda.next()
        if following == "finished":
            return Searcher.FINISHED
        if following == "wait":
            return None
        assert isinstance(following, TrialRequest)
        if self._record.begins(following) and self._halving is not None:
            self._halving.forget(following.trial)
        self._requests[trial_id] = following
        # as text: Tune would otherwise flatten and unflatten dotted keys
        return {"request": json.dumps(following.to_json())}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A candidate of a trial that goes on."""
        self._take(result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended by itself, by the scheduler, or because its process died."""
        request = self._requests.pop(trial_id, None)
        if request is None:
            return  # when taking a result raised, Tune ends the trial once more while it shuts down
        blame = self._lost.pop(trial_id, "") or str((result or {}).get(ENVIRONMENT, ""))
        if blame:
            self._stopped.discard(request.trial)
            self._try_again(request, blame)
            return
        if result is not None:
            self._take(result)
        stopped = request.trial in self._stopped
        self._stopped.discard(request.trial)
        lost = "its process died and could not be restarted" if error else ""
        ended = self._record.trial_ended(request, stopped=stopped, lost=lost)
        self.agenda.end(request.trial, ended)
        if ended.values is not None or stopped:
            self._finished += 1
        else:
            self._failed += 1
        if self._failed >= GIVE_UP_AFTER and not self._finished:
            # whatever it is, the rest of the trials would meet it too
            self.given_up = self._record.first_failure()

    def lost(self, trial_id: str, error: BaseException | None) -> None:
        """A trial's process could not be restarted; its `on_trial_complete` follows."""
        reason = "" if error is None else environment_failure(error)
        if reason:
            self._lost[trial_id] = reason

    def _try_again(self, request: TrialRequest, blame: str) -> None:
        """The environment has ended a trial: nobody is told of it, so that later suggestions stay what they are."""
        logger.warning("trial %s: %s; attempt %d", request.trial, blame, request.attempt + 1)
        if request.attempt < RETRIES:
            self.agenda.retry(replace(request, attempt=request.attempt + 1))
        else:
            self.environment = f"{request.trial}: {blame}"

    def stopping(self, trial_id: str) -> None:
        """The scheduler is about to stop a trial; its `on_trial_complete` follows."""
        self._stopped.add(self._requests[trial_id].trial)

    def request(self, trial_id: str) -> TrialRequest | None:
        """The request behind a Tune trial that has not ended."""
        return self._requests.get(trial_id)

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the searcher for its own resume, which is not used
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal and the table are on disk already."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a resume builds the searcher anew from the journal and the table."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing; see `save`."""

    def _take(self, result: dict[str, Any]) -> None:
        text = result.get("candidate")
        if text:
            self._record.evaluated(Candidate.from_json(json.loads(text)))
