"""`train`: one fine-tuning run, in this process for one worker and in a Ray Train worker group for several."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from drivereplay.errors import ModelError
from drivereplay.models import layout, load_model, open_base
from drivereplay.models.base import VideoModel
from drivereplay.nodes import cluster_nodes, require_room
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.adapters import prepare_parameters
from drivereplay.training.checkpoint import Checkpoint, checkpoints, clear, read_extra
from drivereplay.training.fisher import estimate_fisher, replay_batches, require_replay
from drivereplay.training.group import Group
from drivereplay.training.loop import LoopState, fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import CheckpointEvent, RunHooks, StopTraining, begin

if TYPE_CHECKING:
    from drivereplay.data.index import ClipIndex

__all__ = ["CheckpointEvent", "StopTraining", "TrainingResult", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended.

    Attributes:
        directory: The run's directory.
        step: Optimiser steps done.
        checkpoints: Complete checkpoints, by step.
        stopped: Whether `on_checkpoint` ended it early.
        seconds: Wall time of this call.
        first_step_s: From the call to the end of the first optimiser step; None if there was none.
        metrics: Of the last checkpoint.
    """

    directory: Storage
    step: int
    checkpoints: list[Checkpoint]
    stopped: bool
    seconds: float
    first_step_s: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def train(
    spec: Spec,
    directory: Storage,
    *,
    indexes: Mapping[str, ClipIndex] | None = None,
    resume: bool = False,
    on_checkpoint: Callable[[CheckpointEvent], None] | None = None,
    told_at: frozenset[int] | None = None,
    base_model: VideoModel | None = None,
    show_progress: bool = True,
) -> TrainingResult:
    """Fine-tune the base of `spec` on its sampling plan.

    Args:
        spec: The experiment.
        directory: Of this run; gets ledger.parquet, curve.parquet and checkpoints/.
        indexes: Clip index of each domain by name; None prepares them.
        resume: Go on from the last complete checkpoint in `directory`, if there is one.
        on_checkpoint: Called after each checkpoint; training waits for it. May raise `StopTraining`. A resume calls it
            first for the checkpoint it goes on from, whose evaluation may be what was interrupted.
        told_at: Steps at whose checkpoints `on_checkpoint` is called; None is at all. At the others nothing is waited
            for, and on a remote storage not even for the upload.
        base_model: The base, already loaded; it is copied, not changed. None loads `spec.model`, and so does each
            worker of a group.
        show_progress: A bar in a terminal, lines in a log.

    Raises:
        ModelError: The base or the adapter does not fit; nothing was started.
        DataError: Too many clips turned out bad.
        TrainingError: A loss was not finite, workers were lost too often, or the storage stayed away.
    """
    from drivereplay.data.prepare import prepare

    started = time.perf_counter()
    directory.check_writable()
    by_name = prepare(spec) if indexes is None else indexes
    ordered = [by_name[domain.name] for domain in spec.domains]
    clear(directory, everything=not resume)
    if spec.training.max_workers > 1:
        from drivereplay.training.workers import train_with_workers

        embed_prompts(spec)
        stopped = train_with_workers(spec, directory, ordered, on_checkpoint, told_at, show_progress)
        first = None
    else:
        stopped, first = _train_here(
            spec, directory, ordered, on_checkpoint, told_at, base_model, show_progress, started
        )
    found = checkpoints(directory)
    return TrainingResult(
        directory=directory,
        step=found[-1].step if found else 0,
        checkpoints=found,
        stopped=stopped,
        seconds=time.perf_counter() - started,
        first_step_s=first,
        metrics=read_extra(found[-1])["metrics"] if found else {},
    )


def embed_prompts(spec: Spec) -> None:
    """Embed the prompts of an experiment here, so that none of its workers has to hold the text encoder.

    The embeddings are kept in the storage, where an earlier run may have put them.
    """
    with layout.without_weights():
        model = open_base(spec)
    prompts = {spec.model.prompt if d.prompt is None else d.prompt for d in spec.domains}
    model.embed_prompts(sorted({*prompts, ""}))


def check(spec: Spec) -> None:
    """Refuse what any run of the experiment would fail on, wherever it runs: base, clip size, adapter, baselines.

    Raises:
        ModelError: The base or the adapter does not fit.
        SpecError: A retention baseline lacks what it needs.
    """
    if spec.training.retention.ewc:
        require_replay(spec)
    prepare_parameters(load_model(spec), spec.adapter, spec.seed)


def check_place(spec: Spec) -> None:
    """Refuse what this machine, or the cluster that it is connected to, cannot run.

    Raises:
        ModelError: One worker, which would be this process, is to use a GPU that is not here or cannot do bf16.
        SpecError: The cluster cannot hold the workers.
    """
    if spec.training.max_workers == 1:
        if choose_device(spec).type == "cpu" and spec.resources.gpus_per_worker and spec.training.device != "cpu":
            raise ModelError(
                f"resources.gpus_per_worker is {spec.resources.gpus_per_worker:g}, but no GPU can be used here.",
                "Submit it to a cluster that has GPUs, or set resources.gpus_per_worker to 0.",
            )
        return
    require_room(spec, cluster_nodes())


def choose_device(spec: Spec) -> torch.device:
    """Where this process trains: `training.device`, or a GPU where Ray (or the machine, without Ray) offers one.

    Raises:
        ModelError: A GPU was asked for and there is none, or it cannot do bf16.
    """
    wanted = spec.training.device
    has_gpu = _gpu_offered()
    if wanted == "cuda" and not has_gpu:
        raise ModelError(
            "training.device is cuda, but no GPU can be used here.",
            "Set training.device to cpu or auto; on a cluster, ask for one with resources.gpus_per_worker.",
        )
    device = torch.device("cuda" if has_gpu and wanted != "cpu" else "cpu")
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high" if spec.training.tf32 else "highest")
        torch.backends.cudnn.allow_tf32 = spec.training.tf32
    if device.type == "cuda" and spec.training.precision == "bf16" and not torch.cuda.is_bf16_supported():
        raise ModelError("training.precision is bf16, which this GPU does not support.", "Set it to fp32.")
    return device


def _gpu_offered() -> bool:
    """Whether there is a GPU for this process: inside Ray one that it reserved (Ray hides no other from it)."""
    import ray

    if not torch.cuda.is_available():
        return False
    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        return True
    return bool(ray.get_runtime_context().get_accelerator_ids().get("GPU"))


def set_threads(spec: Spec) -> None:
    """Give torch as many threads as CPUs were reserved: inside Ray those of the task or actor.

    Elsewhere all cores, or as many as `OMP_NUM_THREADS` says: several processes with a thread for each core wait for
    each other.
    """
    import ray

    if not ray.is_initialized() or ray.get_runtime_context().worker.mode != ray.WORKER_MODE:
        asked = os.environ.get("OMP_NUM_THREADS", "")
        torch.set_num_threads(int(asked) if asked.isdecimal() and int(asked) else os.cpu_count() or 1)
        return
    assigned = ray.get_runtime_context().get_assigned_resources().get("CPU", spec.resources.cpus_per_worker)
    torch.set_num_threads(max(1, round(assigned)))


def _train_here(
    spec: Spec,
    directory: Storage,
    indexes: Sequence[ClipIndex],
    on_checkpoint: Callable[[CheckpointEvent], None] | None,
    told_at: frozenset[int] | None,
    base_model: VideoModel | None,
    show_progress: bool,
    started: float,
) -> tuple[bool, float | None]:
    """Local mode: the loop in this process. Whether it was stopped, and seconds to the first step's end."""
    from drivereplay.training.adaptive import training_batches

    device = choose_device(spec)
    set_threads(spec)
    model = (copy.deepcopy(base_model) if base_model is not None else load_model(spec)).to(device)
    state, extra = begin(model, spec, directory)
    if state.fisher and not extra:
        estimate_fisher(state, replay_batches(spec, indexes), spec)

    def checkpointed(state: LoopState, saved: Checkpoint, metrics: dict[str, float], variant: str) -> bool:
        if on_checkpoint is None or (told_at is not None and state.step not in told_at):
            return False
        try:
            # evaluation must not move the random numbers of training
            with state.judged() as judged, torch.random.fork_rng(devices=[]):
                on_checkpoint(CheckpointEvent(state.step, judged, saved.storage, metrics, variant))
        except StopTraining:
            return True
        return False

    with Progress(spec.name, spec.training.steps, every=spec.training.log_every, show=show_progress) as progress:
        group = Group()
        hooks = RunHooks(spec, directory, indexes, group, state, extra, progress, checkpointed)
        stopped = False
        try:
            if extra:
                # what was interrupted may have been the evaluation of this very checkpoint
                hooks.tell(state, checkpoints(directory)[-1], extra["metrics"])
            if state.step < spec.training.steps or not extra:
                stream = training_batches(spec, indexes, state, directory, group)
                fine_tune(model, stream, spec, state=state, hooks=hooks, group=group)
            hooks.interpolations(state)
        except StopTraining:
            stopped = True
        except BaseException:
            hooks.abandon()
            raise
        hooks.end()
    return stopped, None if hooks.first_step_at is None else hooks.first_step_at - started
