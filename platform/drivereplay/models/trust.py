"""A model directory may come from a stranger: nothing in it may choose code to run.

diffusers imports whatever `model_index.json` names and, before 0.38, ran Python files that lay beside the weights
(huggingface/diffusers#13448); what it refuses changes from release to release. So each directory is checked here before
a foreign loader sees it: parts are of classes that ship with diffusers or transformers and are of a kind that pipelines
are made of, no configuration points to code, and weights are not pickled only.
"""

from __future__ import annotations

import importlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from drivereplay.errors import ModelError

_INDEX = "model_index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_DEPTH = 4  # a pipeline's own files are one folder deep; links may go in a circle
_NOT_LOADED = {("cosmos_guardrail", "CosmosSafetyChecker")}
"""Parts that released bases name and that a family replaces by a stand-in: nothing is imported for them."""
_FIX = "Give a directory that a stock pipeline's `save_pretrained` wrote, from somebody you trust."


def check_directory(directory: Path, index: dict[str, Any]) -> None:
    """Refuse a directory that could make a loader run code that is not diffusers' or transformers' own.

    Args:
        directory: In diffusers' layout.
        index: Its `model_index.json`.

    Raises:
        ModelError: Names the file and what is wrong with it.
    """
    path = directory / _INDEX
    if not isinstance(index.get("_class_name"), str):
        raise ModelError(f"{path}: _class_name is {index.get('_class_name')!r}, not a class of diffusers.", _FIX)
    for part, named in index.items():
        if isinstance(named, list) and not part.startswith("_"):
            _check_part(path, part, named)
    for file in _files(directory):
        if file.name == _INDEX and file != path:
            raise ModelError(f"{file}: a part of a pipeline is no pipeline of its own.", _FIX)
        if file.suffix == ".json" and file.name.endswith("config.json") and _points_to_code(file):
            raise ModelError(f"{file} names code to run (auto_map).", _FIX)
    refuse_pickles(directory)


def refuse_pickles(directory: Path) -> None:
    """Refuse a directory with a folder, at any depth, whose weights are pickled only.

    Raises:
        ModelError: Names the folder.
    """
    folders = {file.parent for file in _files(directory) if file.suffix in _PICKLES and file.parent != directory}
    for folder in sorted(folders):
        if not any(folder.glob("*.safetensors")):
            pickled = ", ".join(sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES))
            raise ModelError(
                f"{folder} holds pickled weights only ({pickled}), which can run code when they are opened.",
                "Convert them with diffusers: `save_pretrained(..., safe_serialization=True)`.",
            )


def _files(directory: Path) -> list[Path]:
    """All files below a directory, sorted; links to directories are followed, as loaders follow them."""
    found = []
    for folder, below, names in os.walk(directory, followlinks=True):
        if len(Path(folder).relative_to(directory).parts) >= _DEPTH:
            below.clear()
        found += [Path(folder) / name for name in names]
    return sorted(found)


def _check_part(path: Path, part: str, named: list[Any]) -> None:
    if named in ([None, None], []):
        return
    library, name = named if len(named) == 2 else (None, None)
    if not isinstance(library, str) or not isinstance(name, str) or not _is_allowed(library, name):
        raise ModelError(
            f"{path}: {part} is {named}; a part must be a model, scheduler, tokenizer or image processor that ships "
            "with diffusers or transformers.",
            _FIX,
        )


@cache
def _is_allowed(library: str, name: str) -> bool:
    kinds = _kinds(library)
    if not kinds:
        return (library, name) in _NOT_LOADED
    module = importlib.import_module(library)
    try:
        named = getattr(module, name, None)
    except (ImportError, RuntimeError):  # a class whose optional dependency is not installed
        return False
    if not isinstance(named, type) or named.__module__.split(".")[0] != library:
        return False
    # where torchvision is absent transformers puts a class without ancestors in place of its fast image processors
    return issubclass(named, kinds) or name.endswith(("ImageProcessor", "ImageProcessorFast"))


def _kinds(library: str) -> tuple[type, ...]:
    if library == "diffusers":
        from diffusers import ModelMixin, SchedulerMixin

        return (ModelMixin, SchedulerMixin)
    if library == "transformers":
        from transformers import PreTrainedModel, ProcessorMixin
        from transformers.feature_extraction_utils import FeatureExtractionMixin
        from transformers.image_processing_base import ImageProcessingMixin
        from transformers.tokenization_utils_base import PreTrainedTokenizerBase

        return (PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin, FeatureExtractionMixin, ImageProcessingMixin)
    return ()


def _points_to_code(config: Path) -> bool:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # whoever needs the file says that it cannot be read
    return isinstance(content, dict) and bool(content.get("auto_map"))
