"""Suggestions as a pure function of (seed, number, results told so far), on an Optuna study that survives a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from drivereplay.errors import SpecError
from drivereplay.search.journal import ASKED, Journal
from drivereplay.search.samplers import CURVE, VIOLATIONS, make_sampler
from drivereplay.search.space import Space
from drivereplay.spec import Spec

_TRIAL = "trial"


def study_name(spec: Spec, directions: Sequence[str]) -> str:
    """Unique to what is searched: two sweeps never share a study, and a changed space begins a new one."""
    search = spec.search
    identity = {
        "objectives": list(zip(search.objectives, directions, strict=True)),
        "space": search.space,
        "sampler": search.sampler,
        "concentration": search.simplex_concentration,
        "domains": [domain.name for domain in spec.replay.domains],
        "seed": spec.seed,
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
        for trial in study.get_trials(deepcopy=False):
            name = trial.user_attrs.get(_TRIAL)
            if name is not None:
                self._trials[name] = trial._trial_id
                if trial.state.is_finished():
                    self._told.add(name)
                if trial.state == TrialState.PRUNED:
                    self._stopped.add(name)

    def suggest(self, number: int, name: str) -> dict[str, Any]:
        """The setting of a trial: a new suggestion, or the one that an earlier driver had made.

        Args:
            number: Of the suggestion; seeds its sampler.
            name: Of the trial.

        Returns:
            Dotted key → value of the experiment file.
        """
        known = self.suggested(name)
        setting = self._space.suggest(self._trial(number, name))
        if not known:
            # the last record of a suggestion; without it a resume makes the suggestion again (see `Journal`)
            self._study._storage.set_trial_user_attr(self._trials[name], ASKED, True)
        return setting

    def _trial(self, number: int, name: str) -> Trial:
        constraints = violations if self._constrained else None
        self._study.sampler = make_sampler(
            self._spec.search, _seed(self._spec.seed, number), self._space, number, constraints
        )
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
            number = storage.get_trial(self._trials[name]).number
            if values is not None:
                self._study.tell(number, list(values))
            else:
                self._study.tell(number, state=TrialState.PRUNED if curve else TrialState.FAIL)
        elif values is not None:
            self._add(name, values, parameters, attributes)
        if self._journal is not None:
            self._journal.sync()

    def _add(
        self, name: str, values: Sequence[float], parameters: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> None:
        encoded = self._space.encode(parameters, self._spec)
        if encoded is None:
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


def _seed(seed: int, number: int) -> int:
    """32 bits of the hash of (seed, number)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
