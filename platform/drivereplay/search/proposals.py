"""Verification runs: what the predictor proposes is run, and its error is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit, base_of
from drivereplay.search.front import eligible, hypervolume, non_dominated, signs
from drivereplay.search.predictor import Predictor, fit_law, padded, shares_of
from drivereplay.search.space import Space
from drivereplay.search.trial import TrialRequest
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage

FILE = "predictions.json"


class Proposals:
    """Proposes `search.proposals` runs, one after the other, each from all results before it.

    A proposal is the setting whose predicted figures add most hypervolume to the front found so far; settings that
    have been run are not proposed again. `predictions.json` holds the laws, each proposal with what was predicted, and,
    once it has been run, what came and how far off the prediction was.

    Args:
        spec: The experiment.
        directions: `min` or `max` of each objective.
        storage: Directory of the run.
        limits: Constraints; what the laws expect to violate one is not proposed while there is anything else.
        ended: All candidates of the sweep, the base among them.
    """

    def __init__(
        self,
        spec: Spec,
        directions: Sequence[str],
        storage: Storage,
        limits: Sequence[Limit] = (),
        ended: Callable[[], Sequence[Candidate]] = tuple,
    ) -> None:
        self._spec = spec
        self._directions = tuple(directions)
        self._storage = storage
        self._limits = tuple(limits)
        self._ended = ended
        self._told: list[dict[str, Any]] = []
        self._fitted: tuple[tuple[str, ...], Predictor] | None = None
        if storage.exists(FILE):
            self._told = json.loads(storage.read(FILE))["proposals"]

    def next(self, candidates: Sequence[Candidate], asked: int) -> list[TrialRequest]:
        """The next proposal, or none.

        Args:
            candidates: All that have ended, earlier proposals included.
            asked: Proposals so far.
        """
        self._verify(candidates)
        if asked >= self._spec.search.proposals:
            return []
        if asked == len(self._told):  # else an earlier driver has made it already
            proposal = self._propose(candidates, asked)
            if proposal is None:
                return []  # every setting of a small space has been run
            self._told.append(proposal)
        self._save(candidates)
        name = f"p{asked:04d}"
        return [TrialRequest(name, "proposal", self._spec.seed, self._told[asked]["parameters"], name)]

    def _keeps(self, candidates: Sequence[Candidate]) -> Callable[[dict[str, Any]], bool]:
        """Whether a setting is expected to keep all constraints, by a law for each limited metric."""
        base = base_of(self._ended())
        rows = [c for c in candidates if c.step > 0 and not c.variant]
        if base is None or not self._limits or len(rows) < 4:
            return lambda setting: True
        spec = self._spec
        shares = np.array([shares_of(with_values(spec, padded(c.parameters, spec))) for c in rows])
        progress = np.array([c.step / spec.training.steps for c in rows])
        violations = np.array([[limit.violation(c, base) for limit in self._limits] for c in rows])
        known = np.isfinite(violations).all(axis=1)
        if known.sum() < 4:
            return lambda setting: True
        laws = [fit_law(shares[known], progress[known], column) for column in violations[known].T]

        def keeps(setting: dict[str, Any]) -> bool:
            own = shares_of(with_values(spec, setting))[None]
            return all(float(law.predict(own, np.ones(1))[0]) <= 0 for law in laws)

        return keeps

    def _propose(self, candidates: Sequence[Candidate], number: int) -> dict[str, Any] | None:
        spec, objectives = self._spec, self._spec.search.objectives
        predictor = self._predictor(candidates)
        sign = signs(self._directions)
        seen = np.array([c.values(objectives) for c in eligible(candidates, objectives)])
        front = seen[non_dominated(seen * sign)]
        worst = (seen * sign).max(axis=0) + 0.1 * np.ptp(seen, axis=0) + 1e-12
        space = Space.of(spec)
        trained = {space.identity(c.parameters, spec) for c in candidates}
        keeps = self._keeps(candidates)
        best: tuple[tuple[bool, float], dict[str, Any], np.ndarray] | None = None
        for setting, figures in predictor.predicted_front(spec, keeps, seed=spec.seed + number):
            if space.identity(setting, spec) in trained:
                continue
            volume = hypervolume(np.vstack([front, figures]), (worst * sign).tolist(), self._directions)
            gain = (keeps(setting), volume)
            if best is None or gain > best[0]:
                best = (gain, setting, figures)
        if best is None:
            return None
        predicted = dict(zip(objectives, best[2].tolist(), strict=True))
        return {"trial": f"p{number:04d}", "parameters": best[1], "predicted": predicted}

    def _predictor(self, candidates: Sequence[Candidate]) -> Predictor:
        """Fitted once for the same candidates."""
        names = tuple(candidate.name for candidate in candidates)
        if self._fitted is None or self._fitted[0] != names:
            self._fitted = (names, Predictor.of(self._spec, self._directions, candidates))
        return self._fitted[1]

    def _verify(self, candidates: Sequence[Candidate]) -> None:
        """Put what came beside what was predicted."""
        changed = False
        for told in self._told:
            rows = [c for c in candidates if c.trial == told["trial"] and c.status == "finished" and not c.variant]
            if not rows or "observed" in told:
                continue
            last = max(rows, key=lambda c: c.step)
            told["observed"] = {name: last.metrics[name].mean for name in told["predicted"]}
            told["error"] = {name: told["predicted"][name] - told["observed"][name] for name in told["predicted"]}
            changed = True
        if changed:
            self._save(candidates)

    def _save(self, candidates: Sequence[Candidate]) -> None:
        laws = self._predictor(candidates).to_json(self._spec)
        self._storage.write(FILE, json.dumps({**laws, "proposals": self._told}, indent=1).encode())
