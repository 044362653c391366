"""A run on several workers: Ray Train's `TorchTrainer`, gloo between CPUs and NCCL between GPUs.

Ray restarts the worker group when a worker dies, with as many workers as there are then; each start goes on from the
last complete checkpoint, and the plan is cut anew for the number of workers, so the ledger stays the same.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from drivereplay import logs
from drivereplay.errors import DriveReplayError, TrainingError
from drivereplay.nodes import cluster_nodes, require_room, room_for_workers
from drivereplay.spec import Spec
from drivereplay.storage import Storage
from drivereplay.training.curve import CurvePoint
from drivereplay.training.progress import Progress

if TYPE_CHECKING:
    from drivereplay.data.index import ClipIndex
    from drivereplay.training.checkpoint import Checkpoint
    from drivereplay.training.loop import LoopState
    from drivereplay.training.run import CheckpointEvent


def train_with_workers(
    spec: Spec,
    directory: Storage,
    indexes: Sequence[ClipIndex],
    on_checkpoint: Callable[[CheckpointEvent], None] | None,
    told_at: frozenset[int] | None,
    show_progress: bool,
) -> bool:
    """Run the worker group to its end; returns whether `on_checkpoint` ended the run early.

    Raises:
        SpecError: The cluster cannot hold the workers.
        TrainingError: The run failed, or workers died too often.
    """
    import ray

    from drivereplay.session import ensure_ray
    from drivereplay.training.mailbox import Mailbox

    ensure_ray()
    require_room(spec, cluster_nodes())
    mailbox = Mailbox.remote()  # type: ignore[attr-defined]
    trainer = _trainer(spec, directory, indexes, mailbox, frozenset() if on_checkpoint is None else told_at)
    fit: Future[object] = Future()

    def run() -> None:
        try:
            fit.set_result(trainer.fit())
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            fit.set_exception(error)
        finally:
            if ray.is_initialized():  # else the caller was interrupted and has gone
                ray.get(mailbox.close.remote())

    # a daemon, so that an interrupted program ends without waiting for its workers
    threading.Thread(target=run, name="drivereplay-fit", daemon=True).start()
    listener = _Listener(spec, mailbox, on_checkpoint)
    try:
        with Progress(spec.name, spec.training.steps, every=spec.training.log_every, show=show_progress) as progress:
            listener.listen(progress)
        failure = fit.exception()
    finally:
        ray.kill(mailbox)
        directory.delete(_SCRATCH)
    if listener.failure is not None:
        raise listener.failure
    if failure is not None:
        raise TrainingError(
            f"The workers failed more than {spec.training.max_failures} times; the last time: {_root(failure)}",
            "The last checkpoint is kept: correct the cause, then use --resume.",
        ) from failure
    return listener.stopped


_SCRATCH = ".train"
"""Where Ray Train keeps its own notes while a run goes on."""


class _Listener:
    """The driver's end of the mailbox."""

    def __init__(self, spec: Spec, mailbox: Any, on_checkpoint: Callable[[CheckpointEvent], None] | None) -> None:
        self.spec = spec
        self.mailbox = mailbox
        self.on_checkpoint = on_checkpoint
        self.failure: BaseException | None = None
        self.stopped = False

    def listen(self, progress: Progress) -> None:
        """Handle letters until the mailbox closes."""
        import ray

        while True:
            letter = ray.get(self.mailbox.next.remote())
            if letter is None:
                return
            kind, number, value = letter
            if kind == "step":
                progress.update(CurvePoint(**value), self.spec.training.batch_size)
            elif kind == "failed":
                self.failure = self.failure or value
            elif kind == "begin":
                ray.get(self.mailbox.answer.remote(number, self.failure is None))
            else:
                ray.get(self.mailbox.answer.remote(number, self._checkpointed(*value)))

    def _checkpointed(self, step: int, directory: Storage, metrics: dict[str, float], variant: str) -> bool:
        """Whether to stop. An error of the callback ends the run and is raised once the workers are gone."""
        from drivereplay.models import load_checkpoint
        from drivereplay.training.checkpoint import Checkpoint
        from drivereplay.training.run import CheckpointEvent, StopTraining
        from drivereplay.training.trainer import choose_device

        if self.on_checkpoint is None or self.failure is not None:
            return self.failure is not None
        try:
            with Checkpoint(step, directory).local() as path:
                model = load_checkpoint(path, device=choose_device(self.spec))
                self.on_checkpoint(CheckpointEvent(step, model, directory, metrics, variant))
        except StopTraining:
            self.stopped = True
        except Exception as error:  # noqa: BLE001 - it is the caller's own, who gets it once the workers are gone
            self.failure = error
        return self.stopped or self.failure is not None


def _trainer(
    spec: Spec, directory: Storage, indexes: Sequence[ClipIndex], mailbox: Any, told_at: frozenset[int] | None
) -> Any:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    resources = spec.resources
    with_gpu = resources.gpus_per_worker > 0 and spec.training.device != "cpu"
    per_worker = {"CPU": resources.cpus_per_worker}
    if with_gpu:
        per_worker["GPU"] = resources.gpus_per_worker
    config = {
        "spec": spec,
        "directory": directory,
        "indexes": list(indexes),
        "mailbox": mailbox,
        "told_at": told_at,
        "fields": logs.current(),
    }
    return TorchTrainer(
        _work,
        train_loop_config=config,
        scaling_config=ScalingConfig(
            num_workers=_group_size(spec),
            use_gpu=with_gpu,
            resources_per_worker=per_worker,
            accelerator_type=resources.accelerator_type if with_gpu else None,
        ),
        # the loop sums small tables on the CPU, gradients where the model is
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if with_gpu else "gloo"),
        run_config=RunConfig(
            name=uuid.uuid4().hex,
            storage_path=directory.path(_SCRATCH),
            storage_filesystem=directory.filesystem,
            failure_config=FailureConfig(max_failures=spec.training.max_failures),
        ),
    )


def _group_size(spec: Spec) -> int | tuple[int, int]:
    """Number of workers for Ray Train; an elastic group may not grow into the CPUs of its own decoding tasks."""
    if isinstance(spec.training.workers, int):
        return spec.training.workers
    least, most = spec.training.workers
    return least, max(least, min(most, room_for_workers(spec, cluster_nodes())))


def _work(config: dict[str, Any]) -> None:
    """One worker, from its start to the run's end."""
    logs.install()
    with logs.fields(**config["fields"]):
        _worked(**{name: value for name, value in config.items() if name != "fields"})


def _worked(
    spec: Spec, directory: Storage, indexes: list[ClipIndex], mailbox: Any, told_at: frozenset[int] | None
) -> None:
    import ray

    from drivereplay.models import load_model
    from drivereplay.session import limit_threads
    from drivereplay.training.adaptive import training_batches
    from drivereplay.training.checkpoint import checkpoints
    from drivereplay.training.fisher import estimate_fisher, replay_batches
    from drivereplay.training.group import worker_group
    from drivereplay.training.loop import fine_tune
    from drivereplay.training.run import RunHooks, StopTraining, begin
    from drivereplay.training.trainer import choose_device

    limit_threads(round(spec.resources.cpus_per_worker))
    group = worker_group(spec)
    if not ray.get(mailbox.ask.remote("begin", None)):
        return  # the run has failed for a reason that a restart does not change

    def checkpointed(state: LoopState, saved: Checkpoint, metrics: dict[str, float], variant: str) -> bool:
        if told_at is not None and state.step not in told_at:
            return False
        hooks.uploads.wait()  # the driver reads it from the storage
        return bool(ray.get(mailbox.ask.remote("checkpoint", (state.step, saved.storage, metrics, variant))))

    device = choose_device(spec)
    # what is dealt out goes to the device part by part: the whole of it may not fit there
    model = load_model(spec, device="cpu" if spec.training.strategy == "fsdp" else device)
    state, extra = begin(model, spec, directory, group, device)
    if state.fisher and not extra:
        estimate_fisher(state, replay_batches(spec, indexes, group.rank, group.size), spec, group)
    hooks = RunHooks(spec, directory, indexes, group, state, extra, _Posted(mailbox, spec), checkpointed)
    try:
        if extra:
            last = checkpoints(directory)[-1] if group.rank == 0 else None
            hooks.tell(state, last, extra["metrics"])
        if state.step < spec.training.steps or not extra:
            stream = training_batches(spec, indexes, state, directory, group)
            fine_tune(model, stream, spec, state=state, hooks=hooks, group=group)
        hooks.interpolations(state)
    except StopTraining:
        pass
    except DriveReplayError as error:
        # a restart would meet it again, so the driver lets none begin; raised, because the others may be well and wait
        hooks.abandon()
        ray.get(mailbox.post.remote("failed", error))
        raise
    hooks.end()


class _Posted(Progress):
    """Progress of rank 0, shown by the driver."""

    def __init__(self, mailbox: Any, spec: Spec) -> None:
        super().__init__(spec.name, spec.training.steps, every=spec.training.log_every)
        self.mailbox = mailbox

    def update(self, point: CurvePoint, samples: int) -> None:
        self.mailbox.post.remote("step", asdict(point))


def _root(error: BaseException) -> str:
    """The innermost cause, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]
