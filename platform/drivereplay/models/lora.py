"""Low-rank adapters on a denoiser: injected by peft, kept in `pytorch_lora_weights.safetensors` as diffusers does.

W' = W + (α/r)·B·A with A (r × in) random and B (out × r) zero at first (LoRA, arXiv 2106.09685).
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from drivereplay.errors import ModelError
from drivereplay.models import foreign, layout

FILE = "pytorch_lora_weights.safetensors"
_ADAPTER = "default"
_METADATA = "lora_adapter_metadata"  # the key that diffusers reads ranks and alphas from


def inject(module: nn.Module, *, rank: int, alpha: float, targets: tuple[str, ...], seed: int) -> None:
    """Put adapters on all layers whose name ends with one of `targets`; only they require a gradient afterwards.

    Raises:
        ModelError: A target matches no layer.
    """
    from peft import LoraConfig, inject_adapter_in_model

    names = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Conv3d)]
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            leaves = sorted({".".join(n.split(".")[-2:]) if n[-1].isdigit() else n.split(".")[-1] for n in names})
            raise ModelError(
                f"adapter.targets: '{target}' matches no layer of {type(module).__name__}.",
                f"Layers are called {', '.join(leaves[:20])}.",
            )
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(targets), init_lora_weights=True)
    module.requires_grad_(False)
    with layout.seeded(seed):
        inject_adapter_in_model(config, module, adapter_name=_ADAPTER)


def injected(module: nn.Module) -> bool:
    """Whether adapters are on the module."""
    return next(_layers(module), None) is not None


@contextlib.contextmanager
def disabled(module: nn.Module) -> Iterator[None]:
    """The module answers as if it had no adapters."""
    layers = [layer for _, layer in _layers(module)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def plain(module: nn.Module) -> nn.Module:
    """A copy without adapters, as the base was."""
    return _unwrapped(copy.deepcopy(module))


def save(module: nn.Module, directory: Path, part: str) -> None:
    """Write the adapters, with the denoiser's `part` name as prefix, so that `load_lora_weights` finds them."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    state = get_peft_model_state_dict(module, adapter_name=_ADAPTER)
    tensors = {f"{part}.{name}": tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    config: dict[str, Any] = module.peft_config[_ADAPTER].to_dict()  # type: ignore[union-attr, index, operator]
    kept = {key: config[key] for key in ("r", "lora_alpha", "target_modules")}
    kept["target_modules"] = sorted(kept["target_modules"])
    metadata = {f"{part}.{key}": value for key, value in kept.items()}
    save_file(tensors, directory / FILE, metadata={"format": "pt", _METADATA: json.dumps(metadata, sort_keys=True)})


def merge_saved(module: nn.Module, directory: Path, part: str) -> None:
    """Add adapters that `save` wrote in `directory` to the weights, if there are any.

    Raises:
        ModelError: They belong to another model.
    """
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from safetensors import safe_open

    path = directory / FILE
    if not path.is_file():
        return
    with safe_open(path, framework="pt") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
        state = {name.removeprefix(f"{part}."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = {key.removeprefix(f"{part}."): value for key, value in metadata.items()}
    if "r" not in settings:
        raise ModelError(
            f"{path} does not say the rank and alpha of its layers.",
            "Merge it with diffusers (load_lora_weights, fuse_lora, save_pretrained) and give that.",
        )
    known = inspect.signature(LoraConfig).parameters
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise ModelError(
            f"{path} asks for {', '.join(unknown)}, which the installed peft does not know.",
            "Install the peft that wrote it, or merge the adapters with diffusers and give that.",
        )
    with foreign.boundary(path, "Give a complete checkpoint.", f"does not fit {type(module).__name__}"):
        # all that is said, not rank and alpha alone: rsLoRA and per-layer ranks change the scale of what is added
        inject_adapter_in_model(LoraConfig(**settings), module, adapter_name=_ADAPTER)
        result = set_peft_model_state_dict(module, state, adapter_name=_ADAPTER)
    if result.unexpected_keys:
        raise ModelError(
            f"{path} does not fit {type(module).__name__}: no layer for {result.unexpected_keys[0]}.",
            "Give a complete checkpoint.",
        )
    for _, layer in _layers(module):
        layer.merge()
    _unwrapped(module)


def _layers(module: nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return ((name, layer) for name, layer in module.named_modules() if isinstance(layer, BaseTunerLayer))


def _unwrapped(module: nn.Module) -> nn.Module:
    """Put every adapted layer's own layer back in its place."""
    for name, layer in list(_layers(module)):
        parent, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(parent), leaf, layer.base_layer)
    if hasattr(module, "peft_config"):
        del module.peft_config
    return module.requires_grad_(True)


def write_denoiser(module: Any, origin: layout.Origin, directory: Path, part: str, prefix: str | None = None) -> None:
    """Write a denoiser below a checkpoint: whole, or the base's own weights (linked) and the adapters beside them.

    Args:
        part: Its folder.
        prefix: Of its adapters' names where that is not `part`.
    """
    if not injected(module):
        module.save_pretrained(directory / part)
        return
    if origin.directory is not None and not (origin.directory / FILE).is_file():
        origin.link(part, directory)
    else:
        plain(module).save_pretrained(directory / part)  # type: ignore[operator]
    save(module, directory, prefix or part)
