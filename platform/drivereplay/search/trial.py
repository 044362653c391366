"""One trial: an experiment with the trial's values, fine-tuned and judged at each checkpoint that is to be judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from drivereplay.errors import SpecError
from drivereplay.evaluation.draws import ClipFigures
from drivereplay.evaluation.report import Estimate, Report
from drivereplay.search.constraints import COSTS, judged_spec
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.keep import Scores

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
        attempt: How often the environment has ended it before (see `drivereplay.search.failures`).
    """

    trial: str
    kind: str
    seed: int
    parameters: Mapping[str, Any]
    setting: str
    again: bool = False
    attempt: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrialRequest:
        """The inverse of `to_json`."""
        return cls(**data)

    @property
    def identity(self) -> str:
        """Its values as JSON text: an attempt with other values has trained something else."""
        return json.dumps({"seed": self.seed, "parameters": self.parameters}, sort_keys=True)

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
        figures: Objective or constraint → its figures clip by clip (see `Candidate.figures`).
    """

    step: int
    metrics: Mapping[str, Estimate]
    protocol: str
    cost: Mapping[str, float] = field(default_factory=dict)
    variant: str = ""
    checkpoint: str = ""
    report: Report | None = None
    figures: Mapping[str, ClipFigures] = field(default_factory=dict)


Emit = Callable[[Outcome], bool]
"""Takes an outcome; False asks the runner to end the trial now."""


class TrialRunner(Protocol):
    """What a sweep asks of the thing it optimises. It is pickled to the trials' processes."""

    def directions(self, objectives: Sequence[str]) -> tuple[str, ...]:
        """`min` or `max` of each objective; SpecError for one that does not exist or cannot be computed."""

    def prepare(self, spec: Spec) -> dict[str, Any]:
        """Called once in the driver before any trial: whatever all trials share.

        Returns:
            What `environment.json` says of the data's quality, by domain.
        """

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
            if name in COSTS:
                found.append("min")
                continue
            one = metric(name)
            why = one.unavailable()
            if why:
                raise SpecError(
                    f"search.objectives: {name} cannot be computed here: {why}.", "Install it or choose another."
                )
            found.append(one.direction)
        return tuple(found)

    def prepare(self, spec: Spec) -> dict[str, Any]:
        """Write worlds and indexes once, so that trials find them; refuse metrics that cannot be evaluated.

        Returns:
            The data-quality report of each domain, as `drivereplay.data.prepare.quality` gives it.
        """
        from drivereplay.data.prepare import evaluation_indexes, prepare, quality
        from drivereplay.evaluation.judge import metrics_of_sets
        from drivereplay.evaluation.metric import check_objectives, metric_names, plain_name

        check_objectives(spec.search.objectives)
        self.check(spec)
        judged = spec.evaluation.metrics
        wanted = [name for name in spec.search.objectives if judged and name not in COSTS]
        missing = [name for name in wanted if not {name, plain_name(name)} & set(judged)]
        if missing:
            raise SpecError(
                f"search.objectives: {', '.join(missing)} is not among evaluation.metrics, so no report would hold it.",
                "Add it to evaluation.metrics, or leave that list empty for all metrics.",
            )
        if spec.evaluation.sets:
            one = next(iter(spec.evaluation.sets))
            for name in judged_spec(spec).search.objectives:
                if "@" not in name and name in metric_names():
                    raise SpecError(
                        f"search: {name} is a metric of each evaluation set, and none is named with it.",
                        f"Say which: for example {name}@{one}.",
                    )
        metrics_of_sets(judged_spec(spec))
        return quality(evaluation_indexes(spec, prepare(spec)), spec.quality)

    def check(self, spec: Spec) -> None:
        """Refuse metrics, models and adapters that every trial would fail on, before anything is started."""
        from drivereplay.evaluation.metric import metric
        from drivereplay.training.trainer import check

        for name in spec.evaluation.metrics:
            metric(name)
        check(spec)

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
        judge = Judge(spec, directory, self._clips(spec), done, emit)
        if request.kind == "base":
            self._base(spec, directory, judge)
            return
        self._train(spec, directory, judge)

    def _base(self, spec: Spec, directory: Storage, judge: Judge) -> None:
        from drivereplay.models import load_model
        from drivereplay.training.trainer import choose_device

        model = load_model(spec, device=choose_device(spec))
        checkpoint = "checkpoints/step-0"
        if not directory.exists(checkpoint):
            _save(model, directory, checkpoint)
        judge(model, 0, checkpoint)

    def _train(self, spec: Spec, directory: Storage, judge: Judge) -> None:
        from drivereplay.search.apart import ApartJudge
        from drivereplay.training.run import StopTraining, evaluation_steps, tidy
        from drivereplay.training.trainer import train

        resume = directory.exists("checkpoints")
        if resume:
            judge.catch_up()
        apart = ApartJudge(judged_spec(spec), directory, self._clips(spec), judge) if spec.evaluation.apart else None
        taker = judge if apart is None else apart

        def on_checkpoint(event: Any) -> None:
            if not taker(event.model, event.step, _relative(event.directory, directory), event.variant):
                raise StopTraining(f"{spec.name}: stopped early by the scheduler at step {event.step}")

        try:
            train(
                spec,
                directory,
                indexes=self._indexes(spec),
                resume=resume,
                on_checkpoint=on_checkpoint,
                told_at=evaluation_steps(spec),
                show_progress=self._show_progress,
            )
        except BaseException:
            if apart is not None:
                apart.close()
            raise
        if apart is not None:
            apart.finish()
            tidy(spec, directory)  # what was kept because it was still being judged

    def quality(self, spec: Spec) -> dict[str, Any]:
        """The data-quality report of each domain."""
        from drivereplay.data.prepare import quality

        return quality(self._indexes(spec), spec.quality)

    def _indexes(self, spec: Spec) -> Any:
        from drivereplay.data.prepare import prepare

        key = _data_key(spec)
        if self._kept.get("indexes_of") != key:
            self._kept = {"indexes_of": key, "indexes": prepare(spec)}
        return self._kept["indexes"]

    def _clips(self, spec: Spec) -> Any:
        from drivereplay.data.clips import ClipSets, evaluation_sets
        from drivereplay.data.prepare import evaluation_indexes

        indexes = self._indexes(spec)
        key = spec.evaluation.model_dump_json()
        if self._kept.get("clips_of") != key:
            found = evaluation_sets(spec, evaluation_indexes(spec, indexes))
            self._kept |= {"clips_of": key, "clips": ClipSets(list(found), found.sets)}
        return self._kept["clips"]


class Judge:
    """Evaluates checkpoints of one trial and hands the outcomes on."""

    def __init__(
        self, spec: Spec, directory: Storage, clips: Any, done: Mapping[tuple[int, str], Outcome], emit: Emit
    ) -> None:
        self._spec = spec
        self._judged_spec = judged_spec(spec)
        self._directory = directory
        self._clips = clips
        self._done = done
        self._emit = emit
        self._evaluate_s = 0.0
        self._started = time.monotonic()
        self._scores: Scores | None = None
        if spec.training.keep is not None or spec.evaluation.apart:
            self._scores = Scores(directory)
        self._earlier_s = max((outcome.cost.get("total_s", 0.0) for outcome in done.values()), default=0.0)
        self._earlier_evaluate_s = max((outcome.cost.get("evaluate_s", 0.0) for outcome in done.values()), default=0.0)

    def knows(self, step: int, variant: str) -> bool:
        """Whether an earlier attempt has evaluated it."""
        return (step, variant) in self._done

    def videos(self, step: int, variant: str) -> Storage | None:
        """Where an evaluation's generated clips are kept; None where they are not."""
        if not self._spec.evaluation.videos:
            return None
        return self._directory.below("videos", evaluation_name(step, variant))

    def __call__(self, model: VideoModel, step: int, checkpoint: str, variant: str = "") -> bool:
        """Evaluate a model now; whether the trial is to go on."""
        known = self._done.get((step, variant))
        if known is not None:
            self._note(step, variant, known.metrics)
            return self._emit(known)
        from drivereplay.evaluation.judge import evaluate_model

        started = time.monotonic()
        cache = Storage.of(self._spec.storage).below(".shared", "cache")
        report = evaluate_model(model, self._clips, self._judged_spec, cache=cache, videos=self.videos(step, variant))
        self._evaluate_s += time.monotonic() - started
        return self.take(report, step, checkpoint, variant)

    def judged(self, step: int, checkpoint: str, variant: str = "") -> Report:
        """The report of a checkpoint of this trial, read from the storage."""
        from drivereplay.search.apart import judged

        started = time.monotonic()
        report = judged(self._judged_spec, self._directory.below(checkpoint), self._clips, self.videos(step, variant))
        self._evaluate_s += time.monotonic() - started
        return report

    def take(self, report: Report, step: int, checkpoint: str, variant: str = "") -> bool:
        """Keep a report and hand it on; whether the trial is to go on."""
        report.save(self._directory, f"evaluations/{evaluation_name(step, variant)}.json")
        report.save(self._directory)
        self._note(step, variant, report.metrics)
        protocol = report.protocol.hash
        figures = report.figures(self._judged_spec.search.objectives)
        return self._emit(Outcome(step, report.metrics, protocol, self._cost(), variant, checkpoint, report, figures))

    def pending(self, step: int, variant: str) -> None:
        """A checkpoint is being evaluated elsewhere: it must be kept until then, even if this process dies."""
        if self._scores is not None and not variant:
            self._scores.pending(step)

    def catch_up(self) -> None:
        """Evaluate checkpoints whose evaluation an earlier attempt did not see end, but for the last.

        Training goes on from the last one and tells of it.
        """
        from drivereplay.integrity import set_aside
        from drivereplay.training.checkpoint import DamagedCheckpoint, checkpoints

        if self._scores is None:
            return
        there = {found.step: found for found in checkpoints(self._directory)[:-1]}
        for step in self._scores.unjudged():
            if step in there and not self.knows(step, ""):
                place = _relative(there[step].storage, self._directory)
                try:
                    report = self.judged(step, place)
                except DamagedCheckpoint:
                    set_aside(self._directory, place)
                    continue
                self.take(report, step, place)

    def _note(self, step: int, variant: str, metrics: Mapping[str, Estimate]) -> None:
        """Keep what decides which checkpoints are worth their room."""
        if self._scores is None or variant:
            return
        from drivereplay.evaluation.metric import metric

        wanted = [name for name in self._spec.search.objectives if name in metrics]
        signs = {name: 1.0 if metric(name).direction == "min" else -1.0 for name in wanted}
        self._scores.judged(step, {name: signs[name] * metrics[name].mean for name in wanted})

    def _cost(self) -> dict[str, float]:
        total = self._earlier_s + time.monotonic() - self._started
        evaluate = self._earlier_evaluate_s + self._evaluate_s
        # an evaluator beside the training holds what a worker does
        holders = self._spec.training.max_workers + self._spec.evaluation.apart
        devices = max(self._spec.resources.gpus_per_worker, 1.0) * holders
        return {
            "total_s": total,
            "evaluate_s": evaluate,
            "train_s": total - evaluate,
            "device_hours": total * devices / 3600.0,
        }


def evaluation_name(step: int, variant: str) -> str:
    """Stem of a checkpoint's report below `trials/<id>/evaluations/`, and name of its folder below `videos/`."""
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
