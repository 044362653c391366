"""The workers of a run as the loop sees them: one process alone, or one rank of a torch.distributed group."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from drivereplay.spec import Spec


class Group:
    """One process alone; `WorkerGroup` is its like for several."""

    rank: int = 0
    size: int = 1

    def spread(self, module: nn.Module, device: torch.device) -> nn.Module | None:
        """Deal a denoiser's parameters out to the ranks, where that is the strategy.

        Returns:
            Its structure without weights, or None: every rank holds all of it.
        """
        return None

    def wrap(self, objective: nn.Module) -> nn.Module:
        """The module whose backward pass leaves gradients averaged over all ranks."""
        return objective

    @contextlib.contextmanager
    def accumulating(self, wrapped: nn.Module) -> Iterator[None]:
        """Backward passes inside only add to the local gradient."""
        yield

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over all ranks, on every rank."""
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """The value of every rank in rank order, on every rank."""
        return [value]


class WorkerGroup(Group):
    """A rank of the initialised default process group (NCCL on GPUs, gloo on CPUs)."""

    def __init__(self) -> None:
        import torch.distributed as dist

        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def wrap(self, objective: nn.Module) -> nn.Module:
        from torch.nn.parallel import DistributedDataParallel

        device = next(objective.parameters()).device
        return DistributedDataParallel(objective, device_ids=[device] if device.type == "cuda" else None)

    @contextlib.contextmanager
    def accumulating(self, wrapped: nn.Module) -> Iterator[None]:
        with wrapped.no_sync():  # type: ignore[operator]
            yield

    def sum(self, tensor: Tensor) -> Tensor:
        import torch.distributed as dist

        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def gather(self, value: Any) -> list[Any]:
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


class ShardedGroup(WorkerGroup):
    """A rank that holds its part of every parameter (FSDP2)."""

    def __init__(self, precision: str = "fp32") -> None:
        super().__init__()
        self._precision = precision

    def spread(self, module: nn.Module, device: torch.device) -> nn.Module:
        from drivereplay.training.shard import spread

        skeleton = spread(module, device, self.size, self._precision)
        self._root: Any = module
        return skeleton

    def wrap(self, objective: nn.Module) -> nn.Module:
        return objective  # the denoiser inside gathers parameters and averages gradients itself

    @contextlib.contextmanager
    def accumulating(self, wrapped: nn.Module) -> Iterator[None]:
        self._root.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self._root.set_requires_gradient_sync(True)


def worker_group(spec: Spec) -> WorkerGroup:
    """This rank as `training.strategy` wants it."""
    return ShardedGroup(spec.training.precision) if spec.training.strategy == "fsdp" else WorkerGroup()
