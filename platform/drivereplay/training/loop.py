"""The training loop: a plain function over an iterator of batches, which knows nothing of Ray, files or verbs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drivereplay.errors import TrainingError
from drivereplay.models.base import Conditions, VideoModel
from drivereplay.models.precision import freeze_in_bf16
from drivereplay.spec import Spec, TrainingSpec
from drivereplay.training.adapters import decayed_parameters, prepare_parameters
from drivereplay.training.average import Average
from drivereplay.training.curve import CurvePoint, grouped
from drivereplay.training.encoded import encode
from drivereplay.training.group import Group
from drivereplay.training.objective import Objective, dropped_conditions, sample_noise
from drivereplay.training.retention import Retention, needs_base, retentions
from drivereplay.training.shard import full

if TYPE_CHECKING:
    from drivereplay.data.batch import Batch


@dataclass
class LoopState:
    """Everything that changes while training, so that a run can be stopped at any step and go on.

    Attributes:
        model: The model being trained.
        step: Optimiser steps done.
        parameters: What is trained, by name in the denoiser.
        optimizer: AdamW over them.
        average: Their moving average, or None.
        base: Their values in the base, where a retention baseline needs them; else empty.
        fisher: EWC's F, zero until it is estimated or restored; else empty.
        retention: The baselines in force.
        skeleton: The denoiser's structure without weights, where its parameters are dealt out to workers; else None.
    """

    model: VideoModel
    step: int
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.AdamW
    average: Average | None = None
    base: dict[str, Tensor] = field(default_factory=dict)
    fisher: dict[str, Tensor] = field(default_factory=dict)
    retention: list[Retention] = field(default_factory=list)
    skeleton: nn.Module | None = None

    @contextlib.contextmanager
    def judged(self) -> Iterator[VideoModel]:
        """The model as it is saved and evaluated: averaged where there is an average, in evaluation mode."""
        with contextlib.ExitStack() as stack:
            if self.average is not None:
                stack.enter_context(self.average.swapped_in())
            self.model.module.eval()
            stack.callback(self.model.module.train)
            yield self.model


@dataclass
class Hooks:
    """What the loop tells its surroundings; override what is of interest.

    Attributes:
        checkpoint_steps: Numbers of done steps at which `checkpoint` is called.
    """

    checkpoint_steps: frozenset[int] = field(default_factory=frozenset)

    def stepped(self, point: CurvePoint, batch: Batch) -> None:
        """A step is done."""

    def checkpoint(self, state: LoopState) -> None:
        """One of `checkpoint_steps` is reached. May raise `StopTraining`."""

    def encoded(
        self,
        model: VideoModel,
        frames: NDArray[np.uint8],
        prompts: Sequence[str],
        fps: float,
        domain: NDArray[np.int64],
    ) -> tuple[Tensor, Conditions]:
        """Latents and conditions of frames (b, T, H, W, 3) of domains (b,)."""
        return encode(model, frames, prompts, fps)

    def clip_name(self, domain: int, clip: int) -> str:
        """A clip's name in messages."""
        return f"clip {clip} of domain {domain}"


def new_state(
    model: VideoModel, spec: Spec, group: Group | None = None, device: torch.device | None = None
) -> LoopState:
    """The state before the first step; chooses what is trained.

    Args:
        group: Decides whether parameters are dealt out; None is this process alone.
        device: Where parts of parameters that are dealt out go; None is where the model is.

    Raises:
        ModelError: The adapter does not fit the model.
    """
    parameters = prepare_parameters(model, spec.adapter, spec.seed)
    training = spec.training
    model.training = training
    device = device or model.device
    skeleton = (group or Group()).spread(model.module, device)
    if skeleton is not None:
        parameters = {name: p for name, p in model.module.named_parameters() if name in parameters}
        model.to(device)
    if training.precision == "bf16" and spec.adapter.kind == "lora" and skeleton is None:
        freeze_in_bf16(model.module)
    decayed = decayed_parameters(model.module, parameters)
    rest = [p for name, p in parameters.items() if name not in decayed]
    groups: list[dict[str, Any]] = [{"params": list(decayed.values())}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
        fused=True,
    )
    if training.gradient_checkpointing:
        model.module.enable_gradient_checkpointing()
    average = Average(parameters, training.ema) if training.ema is not None else None
    model.module.train()
    kept = training.retention
    base = {n: p.detach().clone() for n, p in parameters.items()} if needs_base(kept) else {}
    fisher = {n: torch.zeros_like(p) for n, p in parameters.items()} if kept.ewc else {}
    baselines = retentions(kept, model, parameters, base, fisher)
    return LoopState(model, 0, parameters, optimizer, average, base, fisher, baselines, skeleton)


def learning_rate(training: TrainingSpec, step: int) -> float:
    """Learning rate of step 0, 1, …: linear warm-up, then constant, or cosine or linear to zero at the last step."""
    if step < training.warmup:
        return training.learning_rate * (step + 1) / training.warmup
    rest = max(1, training.steps - training.warmup)
    done = min(1.0, (step - training.warmup) / rest)
    factor = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1.0 + math.cos(math.pi * done))}
    return training.learning_rate * factor[training.schedule]


def fine_tune(
    model: VideoModel,
    batches: Iterable[Batch],
    spec: Spec,
    *,
    state: LoopState | None = None,
    hooks: Hooks | None = None,
    group: Group | None = None,
) -> LoopState:
    """Train on batches until they end.

    Gradients are of Σ_i w_i·L_i / B over the global batch of B samples, w_i = `replay.loss_weight` for replay samples
    and 1 otherwise; how samples are dealt to workers and micro-batches does not change them.

    Args:
        model: Trained in place.
        batches: One batch a step: this rank's samples of steps `state.step`, `state.step` + 1, …
        spec: Of the experiment.
        state: From `new_state` or a checkpoint; None begins anew.
        hooks: What happens at steps and checkpoints.
        group: The workers; None is this process alone.

    Returns:
        The state after the last step.

    Raises:
        TrainingError: Batches are out of order, the memory is not enough, or a loss or gradient is not finite; the
            weights are then those of the step before.
    """
    state = state or new_state(model, spec)
    hooks = hooks or Hooks()
    group = group or Group()
    runner = _Runner(state, spec, hooks, group)
    if state.step in hooks.checkpoint_steps and state.step == 0:
        hooks.checkpoint(state)
    iterator = iter(batches)
    while True:
        started = time.perf_counter()
        batch = next(iterator, None)
        if batch is None:
            return state
        if batch.step != state.step:
            raise TrainingError(
                f"Step {state.step} was due, but the data gave step {batch.step}.", "Start the run anew."
            )
        waited = time.perf_counter() - started
        try:
            point = runner.step(batch, started, waited)
        except (RuntimeError, MemoryError) as error:
            if not _out_of_memory(error) or group.size > 1:
                raise  # Ray ends the other workers, which would wait for this one for ever, and starts all again
            raise TrainingError(
                f"Step {state.step} ran out of memory: {str(error).splitlines()[0] if str(error) else 'no more'}.",
                "Raise training.accumulate, or set training.gradient_checkpointing, training.precision: bf16 or LoRA.",
            ) from error
        hooks.stepped(point, batch)
        if state.step in hooks.checkpoint_steps:
            hooks.checkpoint(state)


class _Runner:
    """One optimiser step at a time."""

    def __init__(self, state: LoopState, spec: Spec, hooks: Hooks, group: Group) -> None:
        self.state = state
        self.spec = spec
        self.hooks = hooks
        self.group = group
        self.names = [domain.name for domain in spec.domains]
        self.prompts = [spec.model.prompt if d.prompt is None else d.prompt for d in spec.domains]
        self.device = state.model.device
        asked = spec.training.condition_dropout
        # a run whose captions are all empty has nothing to drop that the family's trainer would
        default = state.model.condition_dropout if any(self.prompts) else 0.0
        self.dropout = default if asked is None else asked
        objective: nn.Module = group.wrap(Objective(state.model))
        self.objective = objective
        self.compiled = torch.compile(objective) if spec.training.compile else objective
        self.list = list(state.parameters.values())

    def step(self, batch: Batch, started: float, waited: float) -> CurvePoint:
        """One optimiser step on this rank's samples."""
        training = self.spec.training
        rate = learning_rate(training, self.state.step)
        for options in self.state.optimizer.param_groups:
            options["lr"] = rate
        self.state.optimizer.zero_grad(set_to_none=True)
        losses, uniforms = self._gradients(batch)
        for baseline in self.state.retention:
            baseline.add_gradient()
        limit = math.inf if training.clip_norm is None else training.clip_norm
        norm = float(full(nn.utils.clip_grad_norm_(self.list, limit)))
        if not math.isfinite(norm):
            self._stop(batch, losses)
        self.state.optimizer.step()
        for baseline in self.state.retention:
            baseline.stepped(self.state.step + 1)
        if self.state.average is not None:
            self.state.average.update()
        mean, by_domain, by_level = grouped(losses, uniforms, batch.domain, self.names, self.group)
        done = self.state.step
        self.state.step += 1
        seconds = time.perf_counter() - started
        return CurvePoint(done, mean, rate, norm, by_domain, by_level, seconds, waited)

    def _gradients(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Backward passes over the micro-batches; loss (b,) and uniform (b,) of each local sample."""
        count = len(batch.sample)
        size = math.ceil(count / self.spec.training.accumulate)
        # DDP averages over ranks where a sum is wanted, hence the factor
        scale = self.group.size / self.spec.training.batch_size
        weights = torch.tensor([self.spec.replay.loss_weight if d else 1.0 for d in batch.domain], device=self.device)
        losses: list[Tensor] = []
        levels: list[Tensor] = []
        for start in range(0, count, size):
            stop = min(start + size, count)
            inner = stop < count
            with self.group.accumulating(self.objective) if inner else contextlib.nullcontext():
                loss, terms, uniforms = self._forward(batch, start, stop)
                (loss * weights[start:stop] + terms).sum().mul(scale).backward()
            losses.append(loss.detach())
            levels.append(uniforms)
        return torch.cat(losses), torch.cat(levels)

    def _forward(self, batch: Batch, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, retention terms and uniforms, each (n,), of the samples start … stop−1."""
        model = self.state.model
        prompts = [self.prompts[int(d)] for d in batch.domain[start:stop]]
        mine = slice(start, stop)
        latents, conditions = self.hooks.encoded(
            model, batch.frames[mine], prompts, self.spec.clip.fps, batch.domain[mine]
        )
        samples = batch.sample[start:stop]
        dropped = dropped_conditions(self.spec.seed, samples, self.dropout)
        if dropped.any():
            conditions = model.without_condition(conditions, dropped.tolist())
        noise, uniforms = sample_noise(self.spec.seed, samples, latents.shape[1:])
        noise, levels = (
            noise.to(self.device, non_blocking=True),
            model.noise_levels(uniforms, latents.shape[1:]).to(self.device),
        )
        domains = torch.tensor(batch.domain[start:stop].tolist(), device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.training.precision == "bf16"):
            loss, predicted = self.compiled(latents, noise, levels, conditions)
            terms = torch.zeros_like(loss)
            for baseline in self.state.retention:
                extra = baseline.sample_terms(predicted, latents, noise, levels, conditions, domains)
                terms = terms if extra is None else terms + extra
        return loss, terms, uniforms

    def _stop(self, batch: Batch, losses: Tensor) -> None:
        """Say which samples made a loss or gradient infinite or NaN; all ranks stop at the same step."""
        self.state.optimizer.zero_grad(set_to_none=True)
        bad = [i for i, finite in enumerate(torch.isfinite(losses).tolist()) if not finite]
        numbers = [(int(batch.domain[i]), int(batch.clip[i])) for i in bad]
        mine = [(self.names[domain], self.hooks.clip_name(domain, clip)) for domain, clip in numbers]
        found = [item for part in self.group.gather(mine) for item in part]
        domains = ", ".join(sorted({domain for domain, _ in found}))
        clips = ", ".join(name for _, name in found[:5]) + (" …" if len(found) > 5 else "")
        what = "the gradient is not finite"
        if found:
            what = f"the loss is not finite for {len(found)} samples of {domains}: {clips}"
        raise TrainingError(
            f"Step {self.state.step}: {what}. The last checkpoint is kept.",
            "Lower training.learning_rate, set training.clip_norm, or look at the clips.",
        )


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    # the allocator of the CPU has no exception of its own
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
