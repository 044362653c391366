"""Computing in bfloat16 over weights that stay as they are: what evaluation, and frozen weights in training, use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]


@contextlib.contextmanager
def computing(module: nn.Module, precision: Precision) -> Iterator[None]:
    """The denoiser computes in `precision` inside; what it returns is float32 either way.

    Only the denoiser: it is nearly all of a video's cost, while the autoencoder would show the rounding. Weights
    kept in bfloat16 (`freeze_in_bf16`) can only be computed with in bfloat16.
    """
    if precision == "fp32" and all(p.dtype == torch.float32 for p in module.parameters()):
        yield
        return
    plain = module.forward
    device = next(module.parameters()).device.type

    def forward(*arguments: Any, **keywords: Any) -> Any:
        with torch.autocast(device, torch.bfloat16):
            return _float(plain(*arguments, **keywords))

    module.forward = forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward


def freeze_in_bf16(module: nn.Module) -> None:
    """Keep the weights that are not trained in bfloat16: half of their memory, and no cast in each step."""
    for parameter in module.parameters():
        if not parameter.requires_grad and parameter.dtype == torch.float32:
            parameter.data = parameter.data.to(torch.bfloat16)


def _float(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.float()
    if isinstance(output, tuple):
        return tuple(_float(part) for part in output)
    return output
