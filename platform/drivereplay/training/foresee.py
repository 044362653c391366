"""What a run would cost, counted on the meta device: no weights are made, nothing is fetched, nothing is started."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from drivereplay.models import layout, local_base, open_base
from drivereplay.models.base import VideoModel
from drivereplay.spec import Spec
from drivereplay.training.adapters import prepare_parameters
from drivereplay.training.retention import needs_base
from drivereplay.training.run import checkpoint_steps

_GIB = 1 << 30
_FP32 = 4


def foresee(spec: Spec) -> dict[str, Any]:
    """Parameters, memory, arithmetic, steps and storage of one run.

    Memory is what each worker needs for weights, gradients, optimiser and retention in fp32, and for the tensors that
    autograd keeps for one micro-batch, counted from the family's own forward pass, and for the autoencoder and image
    encoder; frozen weights are in half precision where training keeps them so. Temporary buffers, the allocator's waste
    and, with gradient checkpointing, one layer's recomputation come on top. No worker holds a text encoder.

    Raises:
        ModelError: The base, the adapter or the clip size does not fit.
    """
    training = spec.training
    workers = training.max_workers
    report: dict[str, Any] = {
        "family": spec.model.family,
        "base": spec.model.base,
        "steps": training.steps,
        "samples": training.steps * training.batch_size,
        "replay samples": round(training.steps * training.batch_size * spec.replay.frequency),
        "workers": workers,
        "clips in a micro-batch": math.ceil(training.batch_size / (workers * training.accumulate)),
        "checkpoints": len(checkpoint_steps(spec)) + len(training.retention.wise_ft),
    }
    model = _on_meta(spec)
    if model is None:
        return {**report, "parameters": "known once the base has been fetched"}
    total = sum(p.numel() for p in model.module.parameters())
    trained = prepare_parameters(model, spec.adapter, spec.seed)
    count = sum(p.numel() for p in trained.values())
    activations, flops = _forward(model, spec, report["clips in a micro-batch"])
    state = _state_bytes(spec, total, count)
    parts = sum(model.frozen_bytes().values())
    stored = total * _FP32 + count * _FP32 * (4 if training.ema is not None else 3)
    if spec.adapter.kind == "lora" and spec.model.base != "random":
        stored -= total * _FP32  # the base is linked, not copied
    best = training.keep_best * len(spec.search.objectives)
    kept = min(report["checkpoints"], report["checkpoints"] if training.keep is None else training.keep + best)
    return {
        **report,
        "parameters": total,
        "trained parameters": count,
        "weights and optimiser (GiB a worker)": round(state / _GIB, 3),
        "activations (GiB a worker)": round(activations / _GIB, 3),
        "autoencoder and image encoder (GiB a worker)": round(parts / _GIB, 3),
        "memory (GiB a worker)": round((state + activations + parts) / _GIB, 3),
        "arithmetic (TFLOP a step)": round(
            3 * flops * training.batch_size / report["clips in a micro-batch"] / 1e12, 3
        ),
        "checkpoint storage (GiB)": round(kept * stored / _GIB, 3),
    }


def _on_meta(spec: Spec) -> VideoModel | None:
    """The model without weights, or None where its configuration is not on this machine."""
    if spec.model.base != "random" and local_base(spec.model.base) is None:
        return None
    with layout.without_weights():
        model = open_base(spec)
    model.check(spec.clip.frames, spec.clip.height, spec.clip.width)
    model.module.to("meta")
    return model


def _forward(model: VideoModel, spec: Spec, batch: int) -> tuple[float, float]:
    """Bytes that autograd keeps for a micro-batch, and floating point operations of its forward pass."""
    clip, training = spec.clip, spec.training
    model.module.train()
    if training.gradient_checkpointing:
        model.module.enable_gradient_checkpointing()
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if not isinstance(base, torch.nn.Parameter):
            kept[id(base)] = base  # held, or its id would be used again
        return tensor

    with torch.device("meta"):
        latents, conditions = model.placeholder(batch, clip.frames, clip.height, clip.width)
        levels = torch.full((batch,), 0.5)
        flops = FlopCounterMode(display=False)
        attention = _FusedAttention()
        with flops, attention, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model.loss(latents, torch.empty_like(latents), levels, conditions)
    half = 0.5 if training.precision == "bf16" else 1.0
    return sum(t.untyped_storage().nbytes() for t in kept.values()) * half, flops.get_total_flops() + attention.flops


class _FusedAttention(TorchFunctionMode):
    """Attention as fused kernels do it: on the meta device torch would keep the whole matrix of weights instead."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        given = dict(zip(("query", "key", "value"), args, strict=False)) | (kwargs or {})
        query, key, value = given["query"], given["key"], given["value"]
        self.flops += 2.0 * query.numel() * key.shape[-2] + 2.0 * query.numel() // query.shape[-1] * value[0, 0].numel()
        return _Attended.apply(query, key, value)


class _Attended(torch.autograd.Function):
    """Keeps what a fused kernel keeps: query, key, value and result."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, result)
        return result


def _state_bytes(spec: Spec, total: int, trained: int) -> float:
    """Weights, and for each trained one its gradient, two moments, and what average and retention keep.

    With FSDP a worker holds its part of all that; the block that computes just then, which is whole, comes on top.
    """
    retention = spec.training.retention
    copies = 3 + (spec.training.ema is not None) + needs_base(retention) + bool(retention.ewc)
    teacher = total if retention.distill and spec.adapter.kind != "lora" else 0
    share = spec.training.max_workers if spec.training.strategy == "fsdp" else 1
    # with FSDP parts of one block have one precision
    halved = spec.training.precision == "bf16" and spec.adapter.kind == "lora" and spec.training.strategy != "fsdp"
    frozen = (total - trained) * (0.5 if halved else 1.0)
    return _FP32 * (frozen + trained + copies * trained + teacher) / share
