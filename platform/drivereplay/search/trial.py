"""One trial: an experiment with the trial's values, fine-tuned and judged at each checkpoint that is to be judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from drivereplay.errors import SpecError
from drivereplay.evaluation.report import Estimate, Report
from drivereplay.search.environment import environment
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel


@dataclass(frozen=True)
class TrialRequest:
    """What one trial is to do.

    Attributes:
        trial: Id, the name of its directory.
        kind: An anchor's name, `trial`, `replicate` or `proposal`.
        seed: Seed of the run.
        parameters: Dotted key → value of the experiment file.
        setting: Id of the trial whose setting it repeats; its own id otherwise.
        again: It was stopped early and is taken up from its last checkpoint.
    """

    trial: str
    kind: str
    seed: int
    parameters: Mapping[str, Any]
    setting: str
    again: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialRequest:
        """The inverse of `to_json`."""
        return cls(**data)

    def spec(self, spec: Spec) -> Spec:
        """The trial's own experiment."""
        return with_values(spec, {**self.parameters, "seed": self.seed})


@dataclass(frozen=True)
class Outcome:
    """One evaluated checkpoint, as a runner hands it over.

    Attributes:
        step: Optimiser steps behind it.
        metrics: Metric name → estimate.
        protocol: Hash of the protocol.
        cost: Seconds and device-hours since the start of the trial.
        variant: Empty, or what was done to the checkpoint (`wise-ft 0.5`).
        checkpoint: Path below the trial's directory.
        report: The whole report, where there is one.
    """

    step: int
    metrics: Mapping[str, Estimate]
    protocol: str
    cost: Mapping[str, float] = field(default_factory=dict)
    variant: str = ""
    checkpoint: str = ""
    report: Report | None = None


Emit = Callable[[Outcome], bool]
"""Takes an outcome; False asks the runner to end the trial now."""


class TrialRunner(Protocol):
    """What a sweep asks of the thing it optimises. It is pickled to the trials' processes."""

    def directions(self, objectives: Sequence[str]) -> tuple[str, ...]:
        """`min` or `max` of each objective; SpecError for one that does not exist or cannot be computed."""

    def prepare(self, spec: Spec) -> None:
        """Called once in the driver before any trial: whatever all trials share."""

    def run(
        self,
        spec: Spec,
        request: TrialRequest,
        directory: Storage,
        done: Mapping[tuple[int, str], Outcome],
        emit: Emit,
    ) -> None:
        """Run one trial, calling `emit` for each evaluated checkpoint in order of steps.

        Args:
            spec: The trial's own experiment.
            request: What is asked for.
            directory: `trials/<id>`; what lies there from an earlier attempt is continued.
            done: (step, variant) → what an earlier attempt of this trial has evaluated; it is emitted again as it is.
            emit: Takes the outcomes.
        """


class FineTuning:
    """The real runner: data, training and evaluation of this package.

    One process runs many trials, one after the other: what they share (indexes, evaluation clips) is kept between them.
    """

    def __init__(self, *, show_progress: bool = False) -> None:
        self._show_progress = show_progress
        self._kept: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}}  # each process keeps its own

    def directions(self, objectives: Sequence[str]) -> tuple[str, ...]:
        """As the metrics declare; SpecError for an unknown metric or one whose weights are missing."""
        from drivereplay.evaluation.metric import metric

        found = []
        for name in objectives:
            one = metric(name)
            why = one.unavailable()
            if why:
                raise SpecError(
                    f"search.objectives: {name} cannot be computed here: {why}.", "Install it or choose another."
                )
            found.append(one.direction)
        return tuple(found)

    def prepare(self, spec: Spec) -> None:
        """Write worlds and indexes once, so that trials find them; refuse objectives that are not evaluated."""
        from drivereplay.data.prepare import prepare

        self.check(spec)
        judged = spec.evaluation.metrics
        missing = [name for name in spec.search.objectives if judged and name not in judged]
        if missing:
            raise SpecError(
                f"search.objectives: {', '.join(missing)} is not among evaluation.metrics, so no report would hold it.",
                "Add it to evaluation.metrics, or leave that list empty for all metrics.",
            )
        prepare(spec)

    def check(self, spec: Spec) -> None:
        """Refuse metrics and models that every trial would fail on, before anything is started."""
        from drivereplay.evaluation.metric import metric
        from drivereplay.models import load_model

        for name in spec.evaluation.metrics:
            metric(name)
        load_model(spec)

    def run(
        self,
        spec: Spec,
        request: TrialRequest,
        directory: Storage,
        done: Mapping[tuple[int, str], Outcome],
        emit: Emit,
    ) -> None:
        """Train and evaluate; the base is evaluated as it is."""
        from drivereplay.training.trainer import set_threads

        # sums depend on the number of threads; a process that trained before must not judge differently from a new one
        set_threads(spec)
        judge = _Judge(spec, directory, self._clips(spec), done, emit)
        if request.kind == "base":
            self._base(spec, directory, judge)
            return
        self._train(spec, directory, judge)

    def _base(self, spec: Spec, directory: Storage, judge: _Judge) -> None:
        from drivereplay.models import load_model

        model = load_model(spec)
        checkpoint = "checkpoints/step-0"
        if not directory.exists(checkpoint):
            _save(model, directory, checkpoint)
        judge(model, 0, checkpoint)

    def _train(self, spec: Spec, directory: Storage, judge: _Judge) -> None:
        from drivereplay.training.run import StopTraining
        from drivereplay.training.trainer import train

        every = spec.evaluation.every

        def on_checkpoint(event: Any) -> None:
            due = event.step == spec.training.steps or (every is not None and event.step % every == 0)
            place = _relative(event.directory, directory)
            if due and not judge(event.model, event.step, place, event.variant):
                raise StopTraining(f"{spec.name}: stopped early by the scheduler at step {event.step}")

        train(
            spec,
            directory,
            indexes=self._indexes(spec),
            resume=directory.exists("checkpoints"),
            on_checkpoint=on_checkpoint,
            show_progress=self._show_progress,
        )

    def _indexes(self, spec: Spec) -> Any:
        from drivereplay.data.prepare import prepare

        key = _data_key(spec)
        if self._kept.get("indexes_of") != key:
            self._kept = {"indexes_of": key, "indexes": prepare(spec)}
        return self._kept["indexes"]

    def _clips(self, spec: Spec) -> Any:
        from drivereplay.data.clips import evaluation_clips

        index = self._indexes(spec)[spec.target.name]
        key = spec.evaluation.model_dump_json()
        if self._kept.get("clips_of") != key:
            wanted = spec.evaluation
            clips = evaluation_clips(index, spec.clip, count=wanted.clips, seed=wanted.seed, subset=wanted.split)
            self._kept |= {"clips_of": key, "clips": list(clips)}
        return self._kept["clips"]


class _Judge:
    """Evaluates checkpoints of one trial and hands the outcomes on."""

    def __init__(
        self, spec: Spec, directory: Storage, clips: Any, done: Mapping[tuple[int, str], Outcome], emit: Emit
    ) -> None:
        self._spec = spec
        self._directory = directory
        self._clips = clips
        self._done = done
        self._emit = emit
        self._evaluate_s = 0.0
        self._started = time.monotonic()
        self._earlier_s = max((outcome.cost.get("total_s", 0.0) for outcome in done.values()), default=0.0)
        self._earlier_evaluate_s = max((outcome.cost.get("evaluate_s", 0.0) for outcome in done.values()), default=0.0)

    def __call__(self, model: VideoModel, step: int, checkpoint: str, variant: str = "") -> bool:
        known = self._done.get((step, variant))
        if known is not None:
            return self._emit(known)
        from drivereplay.evaluation.judge import evaluate_model

        started = time.monotonic()
        videos = self._directory.below("videos") if self._spec.evaluation.videos else None
        cache = Storage.of(self._spec.storage).below(".shared", "cache")
        report = evaluate_model(model, self._clips, self._spec, cache=cache, videos=videos)
        report.save(self._directory, f"evaluations/{evaluation_name(step, variant)}.json")
        report.save(self._directory)
        self._evaluate_s += time.monotonic() - started
        protocol = report.protocol.hash
        return self._emit(Outcome(step, report.metrics, protocol, self._cost(), variant, checkpoint, report))

    def _cost(self) -> dict[str, float]:
        total = self._earlier_s + time.monotonic() - self._started
        evaluate = self._earlier_evaluate_s + self._evaluate_s
        devices = max(self._spec.resources.gpus_per_worker, 1.0) * self._spec.training.max_workers
        return {
            "total_s": total,
            "evaluate_s": evaluate,
            "train_s": total - evaluate,
            "device_hours": total * devices / 3600.0,
        }


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


def run_single(spec: Spec, *, resume: bool = False, show_progress: bool = True) -> TrialOutcome:
    """One fine-tuning run with its evaluations, in `<storage>/<name>/trials/run`.

    Raises:
        SpecError: A run is there already and `resume` is off.
        DriveReplayError: Whatever made it fail.
    """
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
    for place in (root, directory):
        place.write("spec.yaml", spec.to_yaml().encode())
    root.write("environment.json", json.dumps(environment(spec), indent=1).encode())
    request = TrialRequest("run", "trial", spec.seed, {}, "run")
    last: list[Outcome] = []

    def emit(outcome: Outcome) -> bool:
        last.append(outcome)
        return True

    runner.run(spec, request, directory, {}, emit)
    report = last[-1].report if last else None
    return TrialOutcome("finished", spec.training.steps, time.monotonic() - started, directory.uri, report)


def evaluation_name(step: int, variant: str) -> str:
    """Stem of a checkpoint's report below `trials/<id>/evaluations/`."""
    return f"step-{step}" + (f"+{variant.replace(' ', '-')}" if variant else "")


def _data_key(spec: Spec) -> str:
    """What decides the indexes: domains, windows, the split; not how often a domain is drawn."""
    domains = "".join(domain.model_copy(update={"weight": 1.0}).model_dump_json() for domain in spec.domains)
    split = f"{spec.evaluation.held_out}{spec.replay.buffer.model_dump_json()}"
    return f"{spec.storage}{domains}{spec.clip.model_dump_json()}{split}"


def _relative(inner: Storage, outer: Storage) -> str:
    """Path of one storage below another one."""
    return inner.root.removeprefix(outer.root).strip("/")


def _save(model: VideoModel, directory: Storage, relative: str) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        directory.upload(Path(folder) / "model", relative)
