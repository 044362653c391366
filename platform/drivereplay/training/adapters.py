"""Which parameters are trained: all, all but the frozen ones, or low-rank adapters."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from torch import nn

from drivereplay.errors import ModelError
from drivereplay.models import lora
from drivereplay.models.base import VideoModel
from drivereplay.spec import AdapterSpec


def prepare_parameters(model: VideoModel, adapter: AdapterSpec, seed: int) -> dict[str, nn.Parameter]:
    """Set `requires_grad` as the experiment says and return what is trained, by name.

    Args:
        model: Gets adapters where the experiment asks for them.
        seed: Of new adapter weights.

    Raises:
        ModelError: A pattern matches nothing, or nothing is left to train.
    """
    model.module.requires_grad_(True)
    if adapter.kind == "lora":
        alpha = float(adapter.rank) if adapter.alpha is None else adapter.alpha
        lora.inject(
            model.module, rank=adapter.rank, alpha=alpha, targets=adapter.targets or model.lora_targets, seed=seed
        )
    if adapter.kind == "freeze":
        _freeze(model, adapter.freeze)
    trained = {name: p for name, p in model.module.named_parameters() if p.requires_grad}
    if not trained:
        raise ModelError("adapter: nothing is left to train.", "Freeze less, or add LoRA targets.")
    return trained


def _freeze(model: VideoModel, patterns: tuple[str, ...]) -> None:
    if not patterns:
        raise ModelError("adapter.freeze is empty, but adapter.kind is freeze.", "Name patterns, such as `temporal`.")
    names = dict(model.module.named_parameters())
    for pattern in patterns:
        wanted = model.groups().get(pattern, (pattern,))
        frozen = [name for name in names if any(fnmatch.fnmatchcase(name, one) for one in wanted)]
        if not frozen:
            groups = ", ".join(model.groups()) or "no layer groups"
            raise ModelError(
                f"adapter.freeze: '{pattern}' matches no parameter of {model.family}.",
                f"The family has {groups}; names look like {next(iter(names))}.",
            )
        for name in frozen:
            names[name].requires_grad_(False)


def decayed_parameters(module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Those of the trained parameters that weight decay acts on: weights, but no biases and nothing of a norm.

    Decay pulls towards zero, which for a norm's scale means to switch its layer off.
    """
    norms = {
        f"{name}.{own}" if name else own
        for name, part in module.named_modules()
        if "norm" in type(part).__name__.lower()
        for own, _ in part.named_parameters(recurse=False)
    }
    return {n: p for n, p in parameters.items() if p.ndim > 1 and not n.endswith("bias") and n not in norms}
