"""diffusers' directory layout: read with checks, written so that `from_pretrained` needs nothing of ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from drivereplay.errors import ModelError

INDEX = "model_index.json"
CARD = "drivereplay.json"


@dataclass(frozen=True)
class Extras:
    """What a stock directory says about its pipeline, kept so that a checkpoint says the same.

    Attributes:
        pipeline: The pipeline's class name.
    """

    pipeline: str

    @classmethod
    def none(cls, pipeline: str) -> Extras:
        """For a model that comes from no directory."""
        return cls(pipeline)

    @classmethod
    def open(cls, directory: Path) -> Extras:
        """Of a directory in diffusers' layout."""
        return cls(str(read_index(directory)["_class_name"]))


def read_index(directory: Path) -> dict[str, Any]:
    """`model_index.json`.

    Raises:
        ModelError: It is not there or is no pipeline's index.
    """
    path = directory / INDEX
    if not directory.is_dir():
        raise ModelError(
            f"There is no model directory {directory}.", "Set model.base to a diffusers directory, `tiny` or `random`."
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{directory} is not in diffusers' layout: it has no {INDEX}.",
            "Give the directory that a pipeline's `save_pretrained` wrote.",
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.", "Save the pipeline anew.") from error
    if not isinstance(index, dict) or "_class_name" not in index:
        raise ModelError(f"{path} does not name a pipeline class.", "Save the pipeline anew.")
    return index


def read_part(cls: Any, directory: Path, part: str) -> Any:
    """One component by diffusers' own class, from safetensors only.

    Raises:
        ModelError: It is missing, pickled, incomplete or of another shape than its configuration says.
    """
    folder = directory / part
    if not folder.is_dir():
        raise ModelError(f"{directory} has no {part}/.", "Give a complete diffusers directory.")
    has_weights = hasattr(cls, "load_state_dict") or hasattr(cls, "state_dict")
    if not has_weights:
        try:
            return cls.from_pretrained(folder)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{folder} cannot be read: {error}.", "Save the pipeline anew.") from error
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
        if pickled:
            raise ModelError(
                f"{folder} holds pickled weights only ({', '.join(pickled)}), which can run code when they are opened.",
                "Convert them with diffusers: `save_pretrained(..., safe_serialization=True)`.",
            )
        raise ModelError(f"{folder} holds no *.safetensors.", "Give a complete diffusers directory.")
    try:
        module, info = cls.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        # the message of torch lists every tensor; the first lines name the culprit
        shown = " ".join(str(error).split())[:400]
        raise ModelError(f"{folder} cannot be loaded: {shown}", "Weights must fit config.json.") from error
    problems = [
        f"{len(info[kind])} {kind.replace('_', ' ')} (such as {next(iter(info[kind]))})"
        for kind in ("missing_keys", "mismatched_keys", "error_msgs")
        if info.get(kind)
    ]
    if problems:
        raise ModelError(f"{folder}: {'; '.join(problems)}.", "Weights must fit config.json.")
    return module


def built(cls: Any, config: Mapping[str, Any]) -> Any:
    """A diffusers module with random weights.

    Raises:
        ModelError: The class does not take the configuration.
    """
    import inspect

    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise ModelError(f"model.config: {cls.__name__} has no {', '.join(unknown)}.", f"It has {', '.join(known)}.")
    try:
        return cls(**config)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, AssertionError) as error:
        raise ModelError(f"model.config does not fit {cls.__name__}: {error}.", "Correct the named value.") from error


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights from `seed`, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def write_index(directory: Path, extras: Extras, parts: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write `model_index.json`; a part that is None is written as absent."""
    import diffusers

    index: dict[str, Any] = {"_class_name": extras.pipeline, "_diffusers_version": diffusers.__version__, **settings}
    for name, part in parts.items():
        index[name] = [None, None] if part is None else [type(part).__module__.split(".")[0], type(part).__name__]
    _write_json(directory / INDEX, index)


def write_card(directory: Path, *, family: str, context: int) -> None:
    """Write what diffusers has no place for."""
    _write_json(directory / CARD, {"family": family, "context": context})


def read_card(directory: Path) -> dict[str, Any]:
    """What `write_card` wrote.

    Raises:
        ModelError: The directory is not a checkpoint of this program.
    """
    try:
        card = json.loads((directory / CARD).read_text(encoding="utf-8"))
        return {"family": str(card["family"]), "context": int(card["context"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{directory} is not a checkpoint of drivereplay: {CARD} is missing or damaged.",
            "Give a checkpoints/step-N directory of a run.",
        ) from error


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
