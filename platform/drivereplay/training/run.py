"""What surrounds the loop in every worker: ledger, curve, checkpoints and events."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from drivereplay.data.batch import Batch
from drivereplay.errors import DriveReplayError, TrainingError
from drivereplay.logs import fields
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import Checkpoint, checkpoints, prune, restore, save_checkpoint, set_damaged_aside
from drivereplay.training.curve import CurvePoint, read_curve, write_curve
from drivereplay.training.encoded import Encoder
from drivereplay.training.gauges import TrainingGauges
from drivereplay.training.group import Group
from drivereplay.training.keep import Scores
from drivereplay.training.ledger import Ledger, Row, rows_of
from drivereplay.training.loop import Hooks, LoopState, new_state
from drivereplay.training.progress import Progress
from drivereplay.training.retention import interpolated
from drivereplay.training.shard import whole
from drivereplay.training.upload import Uploads

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from drivereplay.data.index import ClipIndex

_T = TypeVar("_T")
logger = logging.getLogger(__name__)


class StopTraining(Exception):
    """Raised by `on_checkpoint` to end a run early; the checkpoint just written is its last."""


@dataclass(frozen=True)
class CheckpointEvent:
    """A checkpoint has been written; on a remote storage and with one worker it may still be on its way there.

    Attributes:
        step: Optimiser steps done.
        model: The model with the weights that were saved.
        directory: The checkpoint's directory.
        metrics: Mean losses since the last checkpoint (`loss`, `loss/<domain>`, `level/<fifth>`), `samples_per_second`,
            `seconds` of training so far.
        variant: Empty for the model as trained; `wise-ft-0.50` for the point a = 0.5 between base and model.
    """

    step: int
    model: VideoModel
    directory: Storage
    metrics: dict[str, float] = field(default_factory=dict)
    variant: str = ""


def checkpoint_steps(spec: Spec) -> frozenset[int]:
    """Numbers of done steps at which a checkpoint is due; the end always is."""
    every = spec.training.checkpoint_every or spec.evaluation.every or spec.training.steps
    steps = spec.training.steps
    return frozenset({*range(every, steps + 1, every), steps} if steps else {0})


def evaluation_steps(spec: Spec) -> frozenset[int]:
    """Numbers of done steps whose checkpoints are to be evaluated; the end always is."""
    every = spec.evaluation.every or spec.training.steps
    steps = spec.training.steps
    return frozenset({*range(every, steps + 1, every), steps} if steps else {0})


def begin(
    model: VideoModel,
    spec: Spec,
    directory: Storage,
    group: Group | None = None,
    device: torch.device | None = None,
) -> tuple[LoopState, dict[str, Any]]:
    """The state to go on from: a new one, or that of the last undamaged checkpoint."""
    state = new_state(model, spec, group, device)
    group = group or Group()
    if group.rank == 0:
        set_damaged_aside(directory)
    group.gather(None)  # the other ranks look when rank 0 has
    found = checkpoints(directory)
    return state, restore(state, found[-1]) if found else {}


def tidy(spec: Spec, directory: Storage) -> None:
    """Remove the checkpoints of a run that `training.keep` and `keep_best` let go."""
    training = spec.training
    if training.keep is not None:
        prune(directory, training.keep, Scores(directory).worth_keeping(training.keep_best))


class RunHooks(Hooks):
    """Keeps ledger and curve, writes checkpoints, and tells of them. One instance per worker; rank 0 writes.

    Args:
        extra: What the checkpoint that the run goes on from kept; empty for a new run.
        checkpointed: Called on rank 0 with the state, the checkpoint, its metrics and variant. It returns whether to
            stop. A checkpoint on a remote storage may still be on its way there; `uploads.wait` waits for it.
    """

    def __init__(
        self,
        spec: Spec,
        directory: Storage,
        indexes: Sequence[ClipIndex],
        group: Group,
        state: LoopState,
        extra: dict[str, Any],
        progress: Progress,
        checkpointed: Callable[[LoopState, Checkpoint, dict[str, float], str], bool],
    ) -> None:
        super().__init__(checkpoint_steps(spec))
        self.spec = spec
        self.directory = directory
        self.indexes = indexes
        self.group = group
        self.progress = progress
        self.checkpointed = checkpointed
        self.trained_s = float(extra.get("trained_s", 0.0))
        self.first_step_at: float | None = None
        self.rows: list[Row] = []
        self.first = state.step
        self.names = [domain.name for domain in spec.domains]
        self.gauges = TrainingGauges(spec)
        self.ledger = Ledger(directory, self.names, partial(_window, self.indexes))
        self.uploads = Uploads()
        self._encoder: Encoder | None = None
        # clips that never come again
        self._once = np.array([index.endless for index in indexes])
        self.points: list[CurvePoint] = []
        if group.rank == 0:
            self.ledger.begin(state.step)
            self.points = read_curve(directory, before=state.step) if state.step else []

    def encoded(
        self,
        model: VideoModel,
        frames: NDArray[np.uint8],
        prompts: Sequence[str],
        fps: float,
        domain: NDArray[np.int64],
    ) -> tuple[Tensor, Conditions]:
        if self._encoder is None:
            self._encoder = Encoder(model, self.spec)
        return self._encoder(frames, prompts, self._once[domain])

    def clip_name(self, domain: int, clip: int) -> str:
        key, start_s = _window(self.indexes, domain, clip)
        return f"{self.names[domain]}/{key}@{start_s:.2f}"

    def stepped(self, point: CurvePoint, batch: Batch) -> None:
        self.rows.extend(rows_of(batch, self.group.rank))
        self.trained_s += point.seconds
        if self.first_step_at is None:
            self.first_step_at = time.perf_counter()
        if self.group.rank == 0:
            self.points.append(point)
            self.progress.update(point, self.spec.training.batch_size)
            self.gauges.stepped(point, batch)

    def checkpoint(self, state: LoopState) -> None:
        rows = [row for part in self.group.gather(self.rows) for row in part]
        metrics: dict[str, float] = {}
        if self.group.rank == 0:
            metrics = self._metrics()
            if state.step > self.first:
                self.ledger.close_part(self.first, state.step, rows)
            write_curve(self.directory, self.points, self.names)
        saved = self._saved(state, {"trained_s": self.trained_s, "metrics": metrics})
        if saved is not None:
            with fields(step=state.step):
                logger.info("checkpoint written, mean loss %.4g", metrics.get("loss", math.nan))
        self.rows, self.first = [], state.step
        self.tell(state, saved, metrics)
        # after it was told of, so that nobody is evaluating what goes
        self._prune()

    def _saved(self, state: LoopState, extra: dict[str, Any], variant: str = "") -> Checkpoint | None:
        """Write a checkpoint; rank 0 does, and knows it."""
        complete = whole(state, self.group.rank)
        return self._first(lambda: save_checkpoint(self.directory, complete, extra, variant, self.uploads))

    def _first(self, action: Callable[[], _T]) -> _T | None:
        """Rank 0 does something and gets the result; its error ends all ranks, which would else wait for it."""
        result: _T | None = None
        failure: DriveReplayError | None = None
        if self.group.rank == 0:
            try:
                result = action()
            except DriveReplayError as error:
                failure = error
        for found in self.group.gather(failure):
            if found is not None:
                raise found
        return result

    def _prune(self) -> None:
        if self.group.rank == 0:
            tidy(self.spec, self.directory)

    def tell(self, state: LoopState, saved: Checkpoint | None, metrics: dict[str, float], variant: str = "") -> None:
        """Tell of a complete checkpoint; rank 0 knows it, and all ranks learn together whether to stop."""
        stop = self._first(lambda: saved is not None and self.checkpointed(state, saved, metrics, variant))
        if any(self.group.gather(stop)):
            raise StopTraining

    def interpolations(self, state: LoopState) -> None:
        """Save and tell of the WiSE-FT points of a finished run, each an extra candidate."""
        for share in self.spec.training.retention.wise_ft:
            variant = f"wise-ft-{share:.2f}"
            with state.judged(), interpolated(state.parameters, state.base, share):
                point = replace(state, average=None)
                self.tell(point, self._saved(point, {}, variant), {}, variant)

    def end(self) -> None:
        """The run is over: wait for the last checkpoint, join the ledger."""
        if self.group.rank == 0:
            self.uploads.wait()
            self._prune()
            self.ledger.finish()

    def abandon(self) -> None:
        """The run ends by an error: the last checkpoint may still arrive, and its trouble is not the one to tell of."""
        with contextlib.suppress(TrainingError):
            self.uploads.wait()

    def _metrics(self) -> dict[str, float]:
        points = [p for p in self.points if p.step >= self.first]
        metrics = {"seconds": self.trained_s}
        if not points:
            return metrics
        metrics["loss"] = _mean([p.loss for p in points])
        for name in self.names:
            values = [p.domains[name] for p in points if name in p.domains]
            if values:
                metrics[f"loss/{name}"] = _mean(values)
        for level in sorted({level for p in points for level in p.levels}):
            metrics[f"level/{level}"] = _mean([p.levels[level] for p in points if level in p.levels])
        seconds = sum(p.seconds for p in points)
        metrics["samples_per_second"] = len(points) * self.spec.training.batch_size / max(seconds, 1e-9)
        metrics["waited_share"] = sum(p.waited_s for p in points) / max(seconds, 1e-9)
        return metrics


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _window(indexes: Sequence[ClipIndex], domain: int, clip: int) -> tuple[str, float]:
    """Recording key and start in seconds of a training clip."""
    window = indexes[domain].window("train", clip)
    return window.key, window.start_s
