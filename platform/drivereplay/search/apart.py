"""Evaluation beside the training: an actor judges a trial's checkpoints while the trial goes on."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray

from drivereplay.errors import DriveReplayError, TrainingError
from drivereplay.spec import Spec
from drivereplay.storage import Storage

if TYPE_CHECKING:
    from drivereplay.evaluation.report import Report
    from drivereplay.models.base import VideoModel
    from drivereplay.search.trial import Judge

ROOM_S = 5.0
"""How long a trial waits once for its evaluator to start; a cluster without room for it may have some later."""
AHEAD = 2
"""Checkpoints that may wait for their evaluation; training then waits, or the scheduler would decide too late."""
ARRIVAL_S = 3600.0
"""How long an evaluator waits for a checkpoint that is on its way to a remote storage."""


@ray.remote
class Evaluator:
    """Judges checkpoints one after the other; it reserves what one training worker does."""

    def __init__(self, spec: Spec, clips: Any) -> None:
        self._spec = spec
        self._clips = clips

    def ready(self) -> bool:
        """It has been given its place in the cluster."""
        return True

    def judge(self, checkpoint: Storage, videos: Storage | None) -> Report:
        """The report of one checkpoint."""
        from drivereplay.integrity import has_all_files
        from drivereplay.training.trainer import set_threads

        set_threads(self._spec)
        deadline = time.monotonic() + ARRIVAL_S
        while not has_all_files(checkpoint):
            if time.monotonic() > deadline:
                raise TrainingError(
                    f"{checkpoint.uri} did not arrive within {ARRIVAL_S:.0f} s.",
                    "Check the storage, then use --resume.",
                )
            time.sleep(0.5)
        return judged(self._spec, checkpoint, self._clips, videos)


def judged(spec: Spec, checkpoint: Storage, clips: Any, videos: Storage | None) -> Report:
    """The report of a complete checkpoint."""
    from drivereplay.evaluation.judge import evaluate_model
    from drivereplay.models import load_checkpoint
    from drivereplay.training.checkpoint import Checkpoint
    from drivereplay.training.trainer import choose_device

    cache = Storage.of(spec.storage).below(".shared", "cache")
    with Checkpoint(0, checkpoint).local() as path:
        model = load_checkpoint(path, device=choose_device(spec))
        return evaluate_model(model, clips, spec, cache=cache, videos=videos)


@dataclass
class _Waiting:
    step: int
    checkpoint: str
    variant: str
    report: Any
    """The reference that Ray gave for it."""


class ApartJudge:
    """Has a trial's checkpoints judged by an `Evaluator`, and hands the outcomes on in order of steps.

    Where the cluster has no room for the evaluator, the trial judges its checkpoints itself and waits, as it does
    without one: a trial that waited for room that other waiting trials hold would wait for ever.

    Args:
        judge: Judges in this process, and takes the reports.
    """

    def __init__(self, spec: Spec, directory: Storage, clips: Any, judge: Judge) -> None:
        self._directory = directory
        self._judge = judge
        resources = spec.resources
        with_gpu = resources.gpus_per_worker > 0 and spec.training.device != "cpu"
        self._actor: Any = Evaluator.options(  # type: ignore[attr-defined]
            num_cpus=resources.cpus_per_worker,
            num_gpus=resources.gpus_per_worker if with_gpu else 0,
            accelerator_type=resources.accelerator_type if with_gpu else None,
            scheduling_strategy="DEFAULT",  # not from what the trial reserved for itself
        ).remote(spec, ray.put(clips))
        self._ready = self._actor.ready.remote()
        self._room_s = ROOM_S
        self._waiting: deque[_Waiting] = deque()
        self._stopped = False

    def __call__(self, model: VideoModel, step: int, checkpoint: str, variant: str = "") -> bool:
        """Whether the trial is to go on, as far as is known by now."""
        if self._judge.knows(step, variant) or not self._has_room():
            self._collect(0)
            return self._judge(model, step, checkpoint, variant) and not self._stopped
        self._judge.pending(step, variant)
        report = self._actor.judge.remote(self._directory.below(checkpoint), self._judge.videos(step, variant))
        self._waiting.append(_Waiting(step, checkpoint, variant, report))
        self._collect(AHEAD)
        return not self._stopped

    def finish(self) -> None:
        """Training has ended: wait for what is still being judged."""
        try:
            self._collect(0)
        finally:
            self.close()

    def close(self) -> None:
        """Give the evaluator's place back."""
        ray.kill(self._actor)

    def _has_room(self) -> bool:
        ready, _ = ray.wait([self._ready], timeout=self._room_s)
        self._room_s = 0.0
        return bool(ready)

    def _collect(self, left: int) -> None:
        """Hand on what is there, and wait until at most `left` checkpoints are still being judged."""
        while self._waiting:
            first = self._waiting[0]
            if len(self._waiting) <= left and not ray.wait([first.report], timeout=0)[0]:
                return
            self._waiting.popleft()
            go_on = self._judge.take(self._report(first), first.step, first.checkpoint, first.variant)
            self._stopped = self._stopped or not go_on

    def _report(self, waiting: _Waiting) -> Report:
        try:
            report: Report = ray.get(waiting.report)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DriveReplayError):
                raise error.cause from error
            raise
        except ray.exceptions.RayActorError:
            # it was killed or ran out of memory: what it should have judged lies in the storage
            return self._judge.judged(waiting.step, waiting.checkpoint, waiting.variant)
        return report
