"""The order of trials: anchors first, then suggestions that do not depend on which trial happens to end first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from drivereplay.search.space import FREQUENCY, WEIGHTS, Space, value_of
from drivereplay.search.suggestions import Suggestions
from drivereplay.search.trial import TrialRequest
from drivereplay.spec import Spec

logger = logging.getLogger(__name__)
Next = TrialRequest | Literal["wait", "finished"]


@dataclass(frozen=True)
class Ended:
    """How a trial ended.

    Attributes:
        values: Its objectives in their own units; None if it failed or was stopped.
        device_hours: What it cost.
        parameters: Its setting.
        curve: (share of the whole run, objectives ...) of each evaluated checkpoint.
        stopped: The scheduler ended it early.
    """

    values: tuple[float, ...] | None
    device_hours: float = 0.0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[tuple[float, ...], ...] = ()
    stopped: bool = False


class Halved(Protocol):
    """What the agenda asks of `drivereplay.search.scheduler.Halving`."""

    def rescued(self, stopped: Container[str]) -> str | None:
        """One of the stopped trials that is to be taken up again."""


Round = Callable[[Sequence[TrialRequest]], Sequence[TrialRequest]]
"""The trials that follow once all given ones have ended; none when there is nothing left to settle."""


def lag_of(concurrent: int, *, scheduler: bool = False) -> int:
    """How many trials a suggestion is behind: trial i knows the results of trials 0 ... i − lag, and of no other.

    With c trials at a time that is c: the c − 1 others may still be running. Under a scheduler it is 0, which stands
    for no rule: trials end after very different times, and each suggestion knows whatever has ended.
    """
    return 0 if scheduler else concurrent


class Agenda:
    """Decides which trial is next.

    Trials are numbered 0, 1, ...: anchors, then suggestions. Before suggestion i is made, exactly the results of trials
    0 ... i − lag are told to the study, in that order; those still running are known by their settings. What is
    suggested therefore depends on the seed, the lag and the results only: not on speed, and not on where a sweep was
    killed and resumed. No setting is trained twice with one seed.

    Args:
        spec: The experiment.
        space: What is searched.
        suggestions: The study.
        concurrent: Trials at a time.
        lag: See `lag_of`; a resumed sweep keeps the one it began with.
        ended: Trials that ended under an earlier driver.
        continued: Settings of finished trials that are trained further, because `training.steps` has grown.
        worse_by: Violations of the constraints by a trial that has ended; asked when the study is told of the trial,
            because limits count from the base, which may end after it.
        reference: The reference point of the hypervolume, once base and naive have ended.
        warm: Called before the first suggestion is made; tells the study what an earlier sweep has found.
        halving: Stops trials early and may take them up again.
        follow: Replicates, asked for when everything else has ended.
        enough: Whether to make no further suggestions (`search.patience`); asked with the trials told so far.
    """

    def __init__(
        self,
        spec: Spec,
        space: Space,
        suggestions: Suggestions,
        *,
        concurrent: int,
        lag: int,
        ended: Mapping[str, Ended],
        continued: Mapping[str, Mapping[str, Any]] | None = None,
        worse_by: Callable[[str], Sequence[float]] | None = None,
        reference: Callable[[], tuple[float, ...] | None] = lambda: None,
        warm: Callable[[Suggestions], None] | None = None,
        halving: Halved | None = None,
        follow: Round | None = None,
        enough: Callable[[Sequence[str]], bool] | None = None,
    ) -> None:
        self._spec = spec
        self._space = space
        self._suggestions = suggestions
        self._concurrent = concurrent
        self._lag = lag
        self._ended = dict(ended)
        self._continued = dict(continued or {})
        self._worse_by = worse_by
        self._reference = reference
        self._requests: list[TrialRequest] = []
        self._seeds: dict[str, list[TrialRequest]] = {}
        self._live: set[str] = set()
        self._told: set[str] = set()
        self._again: list[TrialRequest] = []
        self._anchors = anchor_requests(spec, space)
        self._warm = warm
        self._halving = halving
        self._follow = follow
        self._enough = enough
        self._waiting: list[TrialRequest] = []
        self._closed = False
        self._done = False

    @property
    def total(self) -> int:
        """Anchors and suggested trials."""
        return len(self._anchors) + self._spec.search.trials

    @property
    def requests(self) -> Sequence[TrialRequest]:
        """All trials asked for so far, in order."""
        return self._requests

    @property
    def complete(self) -> bool:
        """Whether every trial has been asked for and has ended."""
        return self._done and not self._live

    def next(self) -> Next:
        """The next trial, `wait` until another one has ended, or `finished`."""
        if self._again:
            return self._again.pop(0)
        if self._waiting:
            # of a round of replicates, all of which count as live
            running = len(self._live) - len(self._waiting)
            return self._waiting.pop(0) if running < self._concurrent else "wait"
        while True:
            if len(self._live) >= self._concurrent:
                return "wait"
            number = len(self._requests)
            if self._spent or self._closed:
                break
            again = self._rescued()
            if again is not None:
                return again
            request: TrialRequest | None
            if number < len(self._anchors):
                request = self._anchors[number]
                earlier = self._ended.get(request.trial)
                if earlier is not None:  # under an experiment that had fewer domains, for example
                    request = replace(request, parameters=earlier.parameters)
            elif number < self.total:
                if not self._tell(number - self._lag + 1):
                    return "wait"
                told = [r.trial for r in self._requests if r.trial in self._told]
                if self._enough is not None and self._enough(told):
                    self._closed = True
                    break
                if self._warm is not None:
                    self._warm(self._suggestions)
                    self._warm = None
                request = self._suggested(number)
                if request is None:
                    logger.info("every setting of search.space has been trained; no further trial is suggested")
                    self._closed = True
                    break
            else:
                break
            self._asked(request)
            if request.trial not in self._ended:
                self._live.add(request.trial)
                return request
        if self._live:
            return "wait"
        self._tell(len(self._requests))
        return self._following()

    def _following(self) -> Next:
        """Replicates, a round at a time."""
        while self._follow is not None and not self._spent:
            asked = {request.trial for request in self._requests}
            following = [r for r in self._follow(self._requests) if r.trial not in asked]
            if not following:
                break
            for request in following:
                self._asked(request)
                if request.trial not in self._ended:
                    self._live.add(request.trial)
                    self._waiting.append(request)
            if self._waiting:
                return self._waiting.pop(0)
        self._done = True
        return "finished"

    def end(self, trial: str, ended: Ended) -> None:
        """A trial has ended."""
        self._ended[trial] = ended
        self._live.discard(trial)
        if self._suggestions.stopped(trial):
            self._hand_on(trial, ended.parameters)

    def retry(self, request: TrialRequest) -> None:
        """A trial came to nothing through no fault of its setting: it is asked for once more, and keeps its slot."""
        self._again.append(request)

    @property
    def _spent(self) -> bool:
        most = self._spec.search.constraints.get("gpu_hours")
        return most is not None and sum(ended.device_hours for ended in self._ended.values()) >= most

    def _suggested(self, number: int) -> TrialRequest | None:
        index = number - len(self._anchors)
        name = f"t{index:04d}"
        earlier = self._ended[name].parameters if name in self._ended else self._continued.get(name)
        if earlier is not None and not self._suggestions.suggested(name):
            # it ran under another space, or its journal is gone: the study learns of it as of an anchor
            return self._request(name, earlier)
        running = [r.parameters for r in self._requests if r.trial not in self._told and r.kind != "base"]
        self._suggestions.knowledge.running = running
        setting = self._suggestions.suggest(index, name, self._repeats)
        return None if setting is None else self._request(name, setting)

    def _request(self, name: str, setting: Mapping[str, Any]) -> TrialRequest:
        """With the experiment's seed, or the next one of a setting that has been asked for before."""
        before = self._seeds.get(self._space.identity(setting, self._spec), ())
        if not before:
            return TrialRequest(name, "trial", self._spec.seed, setting, name)
        return TrialRequest(name, "trial", self._spec.seed + len(before), setting, before[0].setting)

    def _repeats(self, setting: Mapping[str, Any]) -> bool:
        """Whether there is no seed left for a setting: without racing one is all, with racing some."""
        before = len(self._seeds.get(self._space.identity(setting, self._spec), ()))
        racing = self._spec.search.racing
        return before >= (1 if racing is None else racing.seeds)

    def _asked(self, request: TrialRequest) -> None:
        self._requests.append(request)
        if request.kind != "base":
            self._seeds.setdefault(self._space.identity(request.parameters, self._spec), []).append(request)

    def _rescued(self) -> TrialRequest | None:
        """A trial that was stopped and belongs to the best of its rung by now."""
        if self._halving is None:
            return None
        asked = {request.trial for request in self._requests}
        name = self._halving.rescued({n for n, ended in self._ended.items() if ended.stopped and n in asked})
        if name is None:
            return None
        del self._ended[name]
        self._live.add(name)
        return replace(next(r for r in self._requests if r.trial == name), again=True)

    def _tell(self, count: int) -> bool:
        """Tell the first `count` results in order, or under a scheduler all there are; False if one has not ended."""
        waiting = [r for r in self._requests[: max(count, 0)] if r.trial not in self._told]
        if not waiting:
            return True
        # the base says who violates a constraint, base and naive where the hypervolume ends; neither need be first
        first = [request for request in self._requests[: len(self._anchors)] if request.kind in ("base", "naive")]
        missing = [request for request in (*first, *waiting) if request.trial not in self._ended]
        if self._lag and missing:
            return False
        if any(request.trial not in self._ended for request in first):
            return True  # under a scheduler the search begins without waiting
        self._suggestions.knowledge.reference = self._reference()
        for request in waiting:
            if request.trial not in self._ended:
                continue
            if request.kind == "base":
                worse_by = () if self._worse_by is None else self._worse_by(request.trial)
                self._suggestions.tell_base(self._ended[request.trial].values, worse_by)
            elif request.kind != "replicate":  # which is nothing new
                self._hand_on(request.trial, request.parameters)
            self._told.add(request.trial)
        return True

    def _hand_on(self, trial: str, parameters: Mapping[str, Any]) -> None:
        """Tell the study how a trial ended; one that it has as stopped, and that went on, is told beside that."""
        ended = self._ended[trial]
        went_on = ended.values is not None and self._suggestions.stopped(trial)
        name = f"{trial}-again" if went_on else trial
        worse_by = () if self._worse_by is None else self._worse_by(trial)
        self._suggestions.tell(name, ended.values, parameters, worse_by, ended.curve)


def anchor_requests(spec: Spec, space: Space) -> list[TrialRequest]:
    """The anchors that the experiment can have: without replay domains there is neither `replay-only` nor `equal`.

    `equal` has the experiment's own ρ, or the middle of its searched range where that is 0.
    """
    requests = []
    for kind in dict.fromkeys(spec.search.anchors):
        parameters = _anchor(kind, spec, space)
        if parameters is not None:
            requests.append(TrialRequest(kind, kind, spec.seed, parameters, kind))
    return requests


def _anchor(kind: str, spec: Spec, space: Space) -> dict[str, Any] | None:
    ramp = {"replay.frequency_end": None} if spec.replay.frequency_end is not None else {}
    count = len(spec.replay.domains)
    if kind == "base":
        return {}
    if kind == "naive":
        return {FREQUENCY: 0.0, **ramp}
    if not count:
        return None
    if kind == "replay-only":
        # with its mix, so that it stays what it is when domains are added
        return {FREQUENCY: 1.0, **ramp, WEIGHTS: list(spec.replay.mix)}
    return {FREQUENCY: _middle_frequency(spec, space), WEIGHTS: [1.0 / count] * count}


def _middle_frequency(spec: Spec, space: Space) -> float:
    own = float(value_of(spec, FREQUENCY))
    if own > 0:
        return own
    for dimension in space.dimensions:
        if dimension.key == FREQUENCY and dimension.kind in ("uniform", "loguniform"):
            return (dimension.low + dimension.high) / 2
    return 0.5
