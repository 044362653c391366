"""FSDP2: one model over several workers, each of which holds a part of every parameter, gradient and moment.

A checkpoint is the same as without: `whole` puts the parts together, so that a run may go on with any strategy on any
number of workers, and diffusers reads what was saved.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from drivereplay.training.average import Average

if TYPE_CHECKING:
    from drivereplay.training.loop import LoopState


def spread(module: nn.Module, device: torch.device, size: int, precision: str = "fp32") -> nn.Module:
    """Deal the parameters of a denoiser out to the workers, in place, and move each one's part to `device`.

    A block is gathered when it computes and let go after, so that a worker holds one whole block at a time.

    Args:
        module: The denoiser, with the same weights on every worker.
        device: Where the parts go.
        size: Number of workers.
        precision: In which blocks are gathered and computed, `fp32` or `bf16`.

    Returns:
        The denoiser's structure without weights (on the meta device), for `whole`.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    skeleton = without_weights(module)
    mesh = init_device_mesh(device.type, (size,))
    policy = MixedPrecisionPolicy()
    if precision == "bf16":
        # gathered in half precision, summed in full; autocast casts what layers are given, and no timestep is rounded
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in blocks(module):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)
    return skeleton


def blocks(module: nn.Module) -> list[nn.Module]:
    """The repeated parts of a denoiser: the classes that diffusers says belong together, or members of lists.

    Only the outermost: a block whose parameters are dealt out already cannot be part of another one.
    """
    together = tuple(getattr(module, "_no_split_modules", None) or ())
    found = list(_outermost(module, lambda part, _: type(part).__name__ in together))
    return found or list(_outermost(module, lambda _, parent: isinstance(parent, nn.ModuleList)))


def _outermost(module: nn.Module, is_block: Callable[[nn.Module, nn.Module], bool]) -> Iterator[nn.Module]:
    """Parts for which `is_block(part, parent)` holds and that lie in no other such part."""
    for part in module.children():
        if is_block(part, module):
            yield part
        else:
            yield from _outermost(part, is_block)


def without_weights(module: nn.Module) -> nn.Module:
    """A copy on the meta device; its weights are never copied."""
    memo: dict[int, Any] = {id(b): b.to("meta") for b in module.buffers()}
    memo |= {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in module.parameters()}
    return copy.deepcopy(module, memo)


def full(tensor: Tensor) -> Tensor:
    """A tensor put together from the workers' parts, which all must ask for it; any other tensor as it is."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """This worker's part of a whole tensor, dealt out as `like` is; the tensor itself where that is whole."""
    if not isinstance(like, DTensor):
        return tensor
    # every worker has read the same whole tensor: nothing has to be sent
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def whole(state: LoopState, rank: int) -> LoopState:
    """The state as one process alone would have it, on the CPU of rank 0; all ranks must call it.

    Where nothing is dealt out, and on the other ranks, it is `state` itself.
    """
    if state.skeleton is None:
        return state
    writes = rank == 0

    def kept(tensor: Tensor) -> Tensor | None:
        gathered = full(tensor)
        # only rank 0 holds the whole model, and not on its device
        return gathered.cpu().clone() if writes else None

    weights = {name: kept(t) for name, t in state.model.module.state_dict().items()}
    slots = {
        name: {key: kept(value) for key, value in state.optimizer.state.get(parameter, {}).items()}
        for name, parameter in state.parameters.items()
    }
    average = {} if state.average is None else {name: kept(t) for name, t in state.average.tensors.items()}
    if not writes:
        return state
    module = copy.deepcopy(state.skeleton)
    module.load_state_dict(weights, assign=True)
    model = copy.copy(state.model)
    model.module = module
    parameters = {name: p for name, p in module.named_parameters() if name in state.parameters}
    optimizer = torch.optim.AdamW(list(parameters.values()))
    for name, parameter in parameters.items():
        if slots[name]:
            optimizer.state[parameter] = slots[name]
    mean: Average | None = None
    if state.average is not None:
        mean = Average(parameters, state.average.decay)
        mean.tensors = {name: t for name, t in average.items() if t is not None}
    return replace(
        state, model=model, parameters=parameters, optimizer=optimizer, average=mean, retention=[], skeleton=None
    )
