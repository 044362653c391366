"""The diagonal of the empirical Fisher information that EWC weighs parameters with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from drivereplay.errors import SpecError
from drivereplay.models.precision import computing
from drivereplay.spec import Spec, with_values
from drivereplay.training.group import Group
from drivereplay.training.objective import fresh_numbers, sample_noise

if TYPE_CHECKING:
    from drivereplay.data.batch import Batch
    from drivereplay.data.index import ClipIndex
    from drivereplay.training.loop import LoopState


def require_replay(spec: Spec) -> None:
    """EWC needs replay samples.

    Raises:
        SpecError: There is no replay domain to take them from.
    """
    if not spec.replay.domains:
        raise SpecError(
            "training.retention.ewc needs replay samples, but replay.domains is empty.",
            "Name at least one replay domain; replay.frequency may stay 0.",
        )


def replay_batches(spec: Spec, indexes: Sequence[ClipIndex], rank: int = 0, world_size: int = 1) -> Iterator[Batch]:
    """As many whole batches of replay samples as EWC asks for.

    Raises:
        SpecError: There is no replay domain to take them from.
    """
    from drivereplay.data.plan import SamplingPlan
    from drivereplay.data.stream import batches

    require_replay(spec)
    only = with_values(spec, {"replay.frequency": 1.0, "replay.frequency_end": None, "replay.layout": "interleaved"})
    steps = -(-spec.training.retention.ewc_samples // spec.training.batch_size)
    plan = SamplingPlan.of(only, [index.count("train") for index in indexes])
    yield from batches(only, indexes, plan, first_step=0, last_step=steps, rank=rank, world_size=world_size)


def estimate_fisher(state: LoopState, batches: Iterable[Batch], spec: Spec, group: Group | None = None) -> None:
    """Fill `state.fisher` with F_i = mean over samples of (∂L/∂θ_i)², one backward pass for each sample.

    Noise and levels are drawn for these samples anew, so that training does not see them again.
    """
    group = group or Group()
    model = state.model
    prompts = [spec.model.prompt if d.prompt is None else d.prompt for d in spec.domains]
    count = 0
    for batch in batches:
        for row in range(len(batch.sample)):
            frames = torch.from_numpy(batch.frames[row : row + 1].copy()).to(model.device)
            with torch.no_grad():
                latents = model.encode(frames)
                conditions = model.conditions(frames, [prompts[int(batch.domain[row])]], spec.clip.fps)
            noise, uniforms = sample_noise(spec.seed, fresh_numbers(batch.sample[row : row + 1]), latents.shape[1:])
            levels = model.noise_levels(uniforms, latents.shape[1:]).to(model.device)
            with computing(model.module, "fp32"):
                loss = model.loss(latents, noise.to(model.device), levels, conditions)
            loss.sum().backward()  # type: ignore[no-untyped-call]
            for name, parameter in state.parameters.items():
                if parameter.grad is not None:
                    state.fisher[name].addcmul_(parameter.grad, parameter.grad)
                    parameter.grad = None
            count += 1
    total = float(group.sum(torch.tensor([float(count)]))[0])
    for fisher in state.fisher.values():
        fisher.copy_(group.sum(fisher) / max(total, 1.0))
