"""The front: non-dominated candidates, the hypervolume against a reference point fixed in advance, and the knee."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import moocore
import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DriveReplayError, ProtocolError, SpecError
from drivereplay.search.candidates import Candidate, CandidateTable
from drivereplay.search.constraints import Limit, feasible
from drivereplay.search.seeds import Setting, pooled
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.search.certainty import Certainty

FILE = "front.json"
GIVEN = "`search.reference` of the experiment file"
KNEE_RULE = (
    "objectives scaled so that the front spans [0, 1]; the candidate farthest from the chord (plane) through the ends, "
    "on the better side of it; if none lies there, or with fewer than three candidates, the nearest to the ideal point"
)
MARGIN = 0.1


@dataclass(frozen=True)
class Reference:
    """The reference point of the hypervolume.

    Attributes:
        point: In the objectives' own units.
        rule: Where it comes from, in words.
    """

    point: tuple[float, ...]
    rule: str


@dataclass(frozen=True)
class Front:
    """The non-dominated among the finished candidates of one protocol.

    Attributes:
        candidates: All candidates of the sweep, whatever their status, in the order in which they came.
        front: The n non-dominated ones, along the first objective from best to worst.
        objectives: m metric names.
        directions: `min` or `max` of each objective.
        points: (n, m) float64, the objectives of `front` in their own units.
        reference: Reference point in the objectives' units; empty until base and naive fine-tuning have been evaluated.
        reference_rule: Where it comes from, in words.
        hypervolume: In the product of the objectives' units; None without a reference point.
        knee: The knee by `KNEE_RULE`; None for an empty front.
        recommendation: The recommended setting in words; empty for an empty front.
        seeds: Number of seeds behind each of `front`.
        limits: Constraints that candidates had to keep.
        directory: Of the sweep, where it was read from one.
    """

    candidates: tuple[Candidate, ...]
    front: tuple[Candidate, ...]
    objectives: tuple[str, ...]
    directions: tuple[str, ...]
    points: NDArray[np.float64]
    reference: tuple[float, ...]
    reference_rule: str
    hypervolume: float | None
    knee: Candidate | None
    recommendation: str = ""
    seeds: tuple[int, ...] = ()
    limits: tuple[Limit, ...] = ()
    directory: Storage | None = None

    def probabilities(self) -> tuple[float, ...]:
        """P(non-dominated) of each of `front`: share of paired draws in which nothing dominates it."""
        return tuple(self.certainty.probabilities[candidate.name] for candidate in self.front)

    @cached_property
    def certainty(self) -> Certainty:
        """How sure it is: places, hypervolume, differences to base and naive fine-tuning."""
        from drivereplay.search.certainty import certainty

        return certainty(self)

    def rivals(self) -> list[Setting]:
        """Who may have a place: `front`, then the other settings within the constraints."""
        settings = {s.candidate.name: s for s in pooled(eligible(self.candidates, self.objectives))}
        names = [candidate.name for candidate in self.front]
        allowed = feasible([s.candidate for s in settings.values()], self.limits)
        return [settings[name] for name in [*names, *(c.name for c in allowed if c.name not in set(names))]]

    @property
    def counts(self) -> dict[str, int]:
        """Number of candidates by status."""
        counts: dict[str, int] = {}
        for candidate in self.candidates:
            counts[candidate.status] = counts.get(candidate.status, 0) + 1
        return counts

    def history(self) -> list[tuple[str, float]]:
        """(name, hypervolume once it was there) for each finished candidate in order, each seed for itself.

        Empty without a reference point.
        """
        history: list[tuple[str, float]] = []
        if not self.reference:
            return history
        kept = np.zeros((0, len(self.objectives)))
        for candidate in eligible(self.candidates, self.objectives):
            kept = np.vstack([kept, candidate.values(self.objectives)])
            kept = kept[non_dominated(kept * signs(self.directions))]
            history.append((candidate.name, hypervolume(kept, self.reference, self.directions)))
        return history

    def to_json(self, *, whole: bool = True) -> dict[str, Any]:
        """Plain JSON data.

        Args:
            whole: With all candidates and the history of the hypervolume, as `drivereplay front --json` shows it;
                `front.json` holds neither, because the first are in `candidates.parquet`.
        """
        data: dict[str, Any] = {
            "version": 1,
            "objectives": list(self.objectives),
            "directions": list(self.directions),
            "reference": list(self.reference),
            "reference_rule": self.reference_rule,
            "hypervolume": self.hypervolume,
            "knee": None if self.knee is None else _shown(self.knee),
            "knee_rule": KNEE_RULE,
            "recommendation": self.recommendation,
            "protocol": self.front[0].protocol if self.front else None,
            "counts": self.counts,
            "front": [
                {**_shown(candidate), "seeds": seeds} for candidate, seeds in zip(self.front, self.seeds, strict=True)
            ],
            "constraints": [limit.to_json() for limit in self.limits],
        }
        if whole:
            data["candidates"] = [_shown(candidate) for candidate in self.candidates]
            from drivereplay.search.advice import advice
            from drivereplay.search.importance import given_up, importance

            data["history"] = [list(item) for item in self.history()]
            data["given_up"] = given_up(self)
            data["importance"] = importance(self)
            data["advice"] = advice(self)
            sure = self.certainty.to_json([candidate.name for candidate in self.front])
            data["hypervolume_interval"] = sure["hypervolume"]
            for shown in data["front"]:
                shown |= sure["candidates"][shown["name"]]
        return data

    def save(self, storage: Storage) -> None:
        """Write `front.json`."""
        storage.write(FILE, json.dumps(self.to_json(whole=False), indent=1, allow_nan=False).encode())


def _shown(candidate: Candidate) -> dict[str, Any]:
    return {"name": candidate.name, **candidate.to_json()}


def front_of(
    candidates: Sequence[Candidate],
    objectives: Sequence[str],
    directions: Sequence[str],
    reference: Reference | None = None,
    limits: Sequence[Limit] = (),
) -> Front:
    """The front of what has finished with finite objectives; everything else is only carried along.

    Args:
        candidates: Of one sweep, any status.
        objectives: Metric names.
        directions: `min` or `max` of each.
        reference: Reference point of the hypervolume.
        limits: Constraints; who violates one is not on the front.

    A setting with several seeds is one candidate, with the mean over its seeds (see `drivereplay.search.seeds`): a
    lucky seed alone does not make a front, nor keep a constraint.

    Raises:
        ProtocolError: Finished candidates come from different protocols.
    """
    comparable = eligible(candidates, objectives)
    one_protocol(comparable)
    one_training(comparable)
    settings = {setting.candidate.name: setting for setting in pooled(comparable)}
    finished = feasible([setting.candidate for setting in settings.values()], limits)
    values = np.array([c.values(objectives) for c in finished]).reshape(len(finished), len(objectives))
    costs = values * signs(directions)
    kept = np.flatnonzero(non_dominated(costs))
    order = kept[np.lexsort(costs[kept].T[::-1])]
    points, best = values[order], tuple(finished[i] for i in order)
    knee = knee_of(costs[order])
    return Front(
        candidates=tuple(candidates),
        front=best,
        objectives=tuple(objectives),
        directions=tuple(directions),
        points=points,
        reference=() if reference is None else reference.point,
        reference_rule="" if reference is None else reference.rule,
        hypervolume=None if reference is None else hypervolume(points, reference.point, directions),
        knee=None if knee is None else best[knee],
        recommendation="" if knee is None else _recommended(finished, best[knee], objectives, directions),
        seeds=tuple(settings[candidate.name].seeds for candidate in best),
        limits=tuple(limits),
    )


def _recommended(
    finished: Sequence[Candidate], knee: Candidate, objectives: Sequence[str], directions: Sequence[str]
) -> str:
    """The knee in words, and what it gives up against the best candidate of each objective."""
    setting = ", ".join(f"{key} {_text(value)}" for key, value in knee.parameters.items()) or "the experiment as it is"
    losses = []
    for m, (name, way) in enumerate(zip(objectives, directions, strict=True)):
        best = (min if way == "min" else max)(c.values(objectives)[m] for c in finished)
        here = knee.values(objectives)[m]
        found = "the best found" if here == best else f"best found {_text(best)}"
        losses.append(f"{name} {_text(here)} ({found})")
    tuned = f"fine-tune {knee.step} steps with {setting}"
    what = "keep the base model without fine-tuning" if knee.kind == "base" else tuned
    return f"Recommended: {what}; that gives {' and '.join(losses)}. Candidate {knee.name} is the knee of the front."


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "/".join(_text(v) for v in value) if isinstance(value, list | tuple) else str(value)


def eligible(candidates: Sequence[Candidate], objectives: Sequence[str]) -> list[Candidate]:
    """Finished candidates whose objectives are all finite."""
    return [c for c in candidates if c.status == "finished" and all(math.isfinite(v) for v in c.values(objectives))]


def one_protocol(candidates: Sequence[Candidate]) -> str | None:
    """The protocol hash that all share; None for no candidates.

    Raises:
        ProtocolError: There is more than one.
    """
    first: dict[str, str] = {}
    for candidate in candidates:
        first.setdefault(candidate.protocol, candidate.name)
    if len(first) > 1:
        shown = ", ".join(f"{protocol or 'none'} ({name})" for protocol, name in first.items())
        raise ProtocolError(
            f"The candidates were judged by different protocols: {shown}.",
            "Figures of different protocols are never compared: evaluate all with the same settings.",
        )
    return next(iter(first), None)


def one_training(candidates: Sequence[Candidate]) -> None:
    """Refuse candidates that differ in more than what was searched.

    Raises:
        ProtocolError: There is more than one hash of what they were trained with.
    """
    first: dict[str, str] = {}
    for candidate in candidates:
        first.setdefault(candidate.trained, candidate.name)
    first.pop("", None)  # of a version that did not note it
    if len(first) > 1:
        shown = ", ".join(f"{trained} ({name})" for trained, name in first.items())
        raise ProtocolError(
            f"The candidates were trained with different experiments: {shown}.",
            "Only what is searched may differ on a front: give each experiment a name of its own.",
        )


def signs(directions: Sequence[str]) -> NDArray[np.float64]:
    """(m,) factors that turn figures into costs to be minimised."""
    return np.array([1.0 if direction == "min" else -1.0 for direction in directions])


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) which rows of (n, m) costs no other row dominates; equal rows do not dominate each other."""
    if len(costs) == 0:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(moocore.is_nondominated(costs, keep_weakly=True), dtype=np.bool_)


def hypervolume(points: NDArray[np.float64], reference: Sequence[float], directions: Sequence[str]) -> float:
    """Volume that is dominated by (n, m) points and dominates the reference point, all in the objectives' units."""
    sign = signs(directions)
    costs, corner = points * sign, np.asarray(reference, dtype=np.float64) * sign
    inside = costs[np.all(costs < corner, axis=1)] if len(costs) else costs
    return float(moocore.hypervolume(inside, ref=corner)) if len(inside) else 0.0


def knee_of(costs: NDArray[np.float64]) -> int | None:
    """Position of the knee among (n, m) non-dominated costs, by `KNEE_RULE`."""
    n, m = costs.shape
    if n == 0:
        return None
    low, span = costs.min(axis=0), np.ptp(costs, axis=0)
    scaled = (costs - low) / np.where(span > 0, span, 1.0)
    if n >= 3:
        ends = scaled[[int(np.lexsort(np.roll(scaled, -j, axis=1).T[::-1])[0]) for j in range(m)]]
        if np.linalg.matrix_rank(ends) == m:
            # the hyperplane a·x = 1 through the best candidate of each objective; below it is better
            normal = np.linalg.solve(ends, np.ones(m))
            distance = (1.0 - scaled @ normal) / np.linalg.norm(normal)
            best = int(np.argmax(distance))
            if distance[best] > 1e-9:
                return best
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))


def reference_of(
    candidates: Sequence[Candidate],
    objectives: Sequence[str],
    directions: Sequence[str],
    given: Sequence[float] | None = None,
    anchors: Sequence[str] = ("base", "naive"),
) -> Reference | None:
    """The reference point, fixed as soon as the anchors it rests on have been evaluated.

    The worse of the anchors' figures in each objective, moved out by a tenth of their span. Where they do not differ,
    a tenth of the figure's absolute value (of 1 where it is 0) takes the place of the span.

    Args:
        given: `search.reference`, which wins.
        anchors: Kinds of the anchors that are still expected or finished; empty takes all candidates.

    Returns:
        None while no anchor it rests on has finished.
    """
    if given is not None:
        return Reference(tuple(map(float, given)), GIVEN)
    rows = [c for c in eligible(candidates, objectives) if not c.variant]
    # a naive run has several candidates where it is evaluated on the way; its last one is what fine-tuning gives
    last = {c.kind: c for c in sorted(rows, key=lambda c: c.step)}
    kept = [last[kind] for kind in anchors if kind in last] if anchors else rows
    if not kept:
        return None
    costs = np.array([c.values(objectives) for c in kept]) * signs(directions)
    names = " and ".join(c.kind for c in kept) if anchors else "all candidates"
    rule = f"the worse of {names} in each objective, moved out by {MARGIN:.0%} of their span"
    return Reference(tuple((moved_out(costs) * signs(directions)).tolist()), rule)


def moved_out(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) the worst of (n, m) costs, moved out by `MARGIN` of their span (see `reference_of`)."""
    worst, span = costs.max(axis=0), np.ptp(costs, axis=0)
    size = np.where(worst == 0.0, 1.0, np.abs(worst))
    return np.asarray(worst + MARGIN * np.where(span > 0, span, size))


def load_front(directory: str | Path | Storage) -> Front:
    """The front of a sweep's directory, computed anew from its candidates (also while it runs or after a kill).

    Raises:
        SpecError: There is no sweep in the directory.
        ProtocolError: Its finished candidates come from different protocols.
    """
    storage = directory if isinstance(directory, Storage) else Storage.of(directory)
    if not storage.exists(FILE):
        raise SpecError(
            f"There is no {FILE} in {storage.uri}.",
            "Give the directory of a sweep: <storage>/<name> of its experiment file.",
        )
    data = read_front_file(storage)
    limits = [Limit(**limit) for limit in data.get("constraints", ())]
    candidates = CandidateTable.read(storage)
    found = front_of(candidates, data["objectives"], data["directions"], stored_reference(data), limits)
    return replace(found, directory=storage)


def stored_reference(data: Mapping[str, Any]) -> Reference | None:
    """The reference point that a `front.json` holds."""
    return Reference(tuple(data["reference"]), str(data["reference_rule"])) if data["reference"] else None


def read_front_file(storage: Storage) -> dict[str, Any]:
    """The content of `front.json`.

    Raises:
        DriveReplayError: It is damaged.
    """
    try:
        data = json.loads(storage.read(FILE))
    except ValueError as error:
        raise DriveReplayError(
            f"{storage.uri}/{FILE} is not valid JSON: {error}.", "Delete it and run `drivereplay sweep --resume`."
        ) from error
    if not isinstance(data, dict) or not {"objectives", "directions", "reference", "reference_rule"} <= data.keys():
        raise DriveReplayError(
            f"{storage.uri}/{FILE} is not a front.", "Delete it and run `drivereplay sweep --resume`."
        )
    return data
