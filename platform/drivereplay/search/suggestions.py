"""Suggestions as a pure function of (seed, number, results told so far), on an Optuna study that survives a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from drivereplay.errors import SpecError
from drivereplay.search.journal import ASKED, Journal
from drivereplay.search.mixture import CURVE, VIOLATIONS, Knowledge, Outside
from drivereplay.search.samplers import make_sampler, sampler_name
from drivereplay.search.space import Space, Suggester
from drivereplay.spec import Spec

_TRIAL = "trial"
_ENUMERATED = 4096
"""A space of at most so many settings is listed when it is nearly used up."""
_TRIES = 16
"""How often a repeated setting is drawn anew: thrice by the sampler, then at random."""


def study_name(spec: Spec, directions: Sequence[str]) -> str:
    """Unique to what is searched: two sweeps never share a study, and a changed space begins a new one."""
    search = spec.search
    identity = {
        "objectives": list(zip(search.objectives, directions, strict=True)),
        "space": search.space,
        "sampler": sampler_name(search),
        "concentration": search.simplex_concentration,
        "domains": [domain.name for domain in spec.replay.domains],
        "seed": spec.seed,
        "steps": spec.training.steps,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
    return f"{spec.name}-{digest[:12]}"


class Suggestions:
    """Asks for and tells about trials by their own ids.

    Each suggestion gets a sampler of its own, seeded with (seed, number). A sampler keeps no memory besides the study,
    so that a sweep that was killed and resumed suggests what it would have suggested anyway.

    Args:
        study: The Optuna study.
        space: What is searched.
        spec: The experiment.
        journal: Where the study is kept; None for a study in memory.
    """

    def __init__(self, study: optuna.Study, space: Space, spec: Spec, journal: Journal | None = None) -> None:
        self._study = study
        self._space = space
        self._spec = spec
        self._journal = journal
        self._trials: dict[str, int] = {}
        self._told: set[str] = set()
        self._stopped: set[str] = set()
        self.knowledge = Knowledge()
        """What is told to `mixture` beside the study."""
        for trial in study.get_trials(deepcopy=False):
            name = trial.user_attrs.get(_TRIAL)
            if name is not None:
                self._trials[name] = trial._trial_id
                if trial.state.is_finished():
                    self._told.add(name)
                if trial.state == TrialState.PRUNED:
                    self._stopped.add(name)

    def suggest(
        self, number: int, name: str, repeats: Callable[[Mapping[str, Any]], bool] = lambda setting: False
    ) -> dict[str, Any] | None:
        """The setting of a trial: a new suggestion, or the one that an earlier driver had made.

        Args:
            number: Of the suggestion; seeds its sampler.
            name: Of the trial.
            repeats: Whether a setting must not be trained, because it has been; another one is then drawn. The Optuna
                trial of the repeated one ends as FAIL.

        Returns:
            Dotted key → value of the experiment file; None if there is no other setting.
        """
        unused: list[dict[str, Any]] | None = None
        for attempt in range(_TRIES + 1):
            trial = f"{name}.{attempt}" if attempt else name
            known = self.suggested(trial)
            fixed: dict[str, Any] = {}
            if attempt > 3 and not known and self._space.size <= _ENUMERATED:
                if unused is None:
                    unused = [e for e in self._space.all_encoded() if not repeats(self._space.values_of(e))]
                if not unused:
                    return None
                fixed = unused[_seed(self._spec.seed, number) % len(unused)]
            setting = self._space.suggest(self._trial(number, attempt, trial, fixed))
            if not known:
                # the last record of a suggestion; without it a resume makes the suggestion again (see `Journal`)
                self._study._storage.set_trial_user_attr(self._trials[trial], ASKED, True)
            if not repeats(setting):
                self._trials[name] = self._trials[trial]
                return setting
            if trial not in self._told:
                self._told.add(trial)
                self._study.tell(self._number(trial), state=TrialState.FAIL)
        return None

    def _trial(self, number: int, attempt: int, name: str, fixed: Mapping[str, Any]) -> Suggester:
        constraints = violations if self._constrained else None
        search = self._spec.search
        if attempt > 3:
            search = search.model_copy(update={"sampler": "random"})
        seed = _seed(self._spec.seed, number, attempt)
        sampler = make_sampler(search, seed, self._space, number, constraints, self.knowledge)
        self._study.sampler = optuna.samplers.PartialFixedSampler(dict(fixed), sampler) if fixed else sampler
        if name not in self._trials:
            # state and name in one record, so that a kill cannot leave a trial that nobody knows
            template = FrozenTrial(
                number=-1,
                trial_id=-1,
                state=TrialState.RUNNING,
                value=None,
                values=None,
                datetime_start=None,
                datetime_complete=None,
                params={},
                distributions={},
                user_attrs={_TRIAL: name},
                system_attrs={},
                intermediate_values={},
            )
            storage = self._study._storage
            self._trials[name] = storage.create_new_trial(self._study._study_id, template_trial=template)
        return Trial(self._study, self._trials[name])

    def _number(self, name: str) -> int:
        return int(self._study._storage.get_trial(self._trials[name]).number)

    def suggested(self, name: str) -> bool:
        """Whether a trial of that name has been suggested before."""
        return name in self._trials

    def stopped(self, name: str) -> bool:
        """Whether it was told that the trial was stopped early."""
        return name in self._stopped

    def tell(
        self,
        name: str,
        values: Sequence[float] | None,
        parameters: Mapping[str, Any],
        worse_by: Sequence[float] = (),
        curve: Sequence[Sequence[float]] = (),
    ) -> None:
        """Tell how a trial ended; a second time does nothing.

        Args:
            name: Of the trial. One that was not suggested (an anchor) is added where the space can express it.
            values: Its objectives; None if it failed or was stopped, and then it never counts as complete.
            parameters: Its setting.
            worse_by: Violations of the constraints, above 0 where violated.
            curve: (share of the whole run, objectives ...) of each evaluated checkpoint, for samplers that learn from
                trials that were stopped.
        """
        if name in self._told:
            return
        self._told.add(name)
        if values is None and curve:
            self._stopped.add(name)
        attributes: dict[str, Any] = {}
        if worse_by:
            attributes[VIOLATIONS] = list(worse_by)
        if curve:
            attributes[CURVE] = [list(point) for point in curve]
        if name in self._trials:
            storage = self._study._storage
            for key, value in attributes.items():
                storage.set_trial_user_attr(self._trials[name], key, value)
            number = self._number(name)
            if values is not None:
                self._study.tell(number, list(values))
            else:
                self._study.tell(number, state=TrialState.PRUNED if curve else TrialState.FAIL)
        elif values is not None:
            self._add(name, values, parameters, attributes)
        self._sync()

    def tell_base(self, values: Sequence[float] | None, worse_by: Sequence[float] = ()) -> None:
        """Tell of the base, which is no setting: it has its place on the front all the same."""
        if values is not None:
            self.knowledge.outside.append(Outside(tuple(values), None, tuple(worse_by)))

    def _sync(self) -> None:
        if self._journal is not None:
            self._journal.sync()

    def _add(
        self, name: str, values: Sequence[float], parameters: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> None:
        encoded = self._space.encode(parameters, self._spec)
        if encoded is None:
            outside = Outside(tuple(values), parameters, tuple(attributes.get(VIOLATIONS, ())))
            self.knowledge.outside.append(outside)
            return
        trial = create_trial(
            values=list(values),
            params=encoded,
            distributions=self._space.distributions(encoded),
            user_attrs={_TRIAL: name, **attributes},
            # where Optuna keeps what a sampler's constraints function has returned
            system_attrs={"constraints": attributes[VIOLATIONS]} if VIOLATIONS in attributes else {},
        )
        self._study.add_trial(trial)

    @property
    def _constrained(self) -> bool:
        return any(key != "gpu_hours" for key in self._spec.search.constraints)


def violations(trial: FrozenTrial) -> Sequence[float]:
    """Optuna's constraints function: what `tell` was given."""
    found: Sequence[float] = trial.user_attrs.get(VIOLATIONS, ())
    return found


def check_journal(study_names: Sequence[str], spec: Spec, where: str) -> None:
    """Refuse a journal that belongs to another experiment.

    Raises:
        SpecError: None of its studies is of this experiment.
    """
    foreign = [name for name in study_names if name.rpartition("-")[0] != spec.name]
    if foreign:
        raise SpecError(
            f"{where} holds the study {foreign[0]}, which is not of the experiment '{spec.name}'.",
            "Give the experiment a name of its own, or move the file away.",
        )


def _seed(seed: int, number: int, attempt: int = 0) -> int:
    """32 bits of the hash of (seed, number, attempt)."""
    text = f"{seed}/{number}" + (f"/{attempt}" if attempt else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
