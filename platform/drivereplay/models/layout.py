"""diffusers' directory layout: read with checks, written so that `from_pretrained` needs nothing of ours."""

from __future__ import annotations

import contextlib
import inspect
import json
import shutil
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from drivereplay.errors import ModelError
from drivereplay.models import foreign
from drivereplay.models.trust import check_directory

INDEX = "model_index.json"
CARD = "drivereplay.json"


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, kept so that a checkpoint says the same of its pipeline.

    Attributes:
        pipeline: The pipeline's class name.
        directory: The diffusers directory it was read from; None for a new model.
        index: Its `model_index.json`; empty for a new model.
    """

    pipeline: str
    directory: Path | None = None
    index: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, directory: Path) -> Origin:
        """Of a directory in diffusers' layout.

        Raises:
            ModelError: It has no index, or names code that is not diffusers' or transformers' own.
        """
        index = read_index(directory)
        check_directory(directory, index)
        return cls(str(index["_class_name"]), directory, index)

    def has(self, part: str) -> bool:
        """Whether the directory holds a part."""
        return (self.index.get(part) or [None])[0] is not None

    def folder(self, part: str) -> Path:
        """Where a part lies.

        Raises:
            ModelError: The directory has gone since the model was read.
        """
        if self.directory is None or not (self.directory / part).is_dir():
            raise ModelError(f"{self.directory}/{part} has gone since the model was read.", "Put the base back.")
        return self.directory / part

    def link(self, part: str, target: Path) -> None:
        """Put an unchanged part into another checkpoint without copying its bytes, where the filesystem can."""
        for source in sorted(self.folder(part).rglob("*")):
            if source.is_file():
                place = target / part / source.relative_to(self.folder(part))
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    # hub snapshots are links to blobs: take the blob
                    place.hardlink_to(source.resolve())
                except OSError:
                    shutil.copyfile(source, place)


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
    if not hasattr(cls, "state_dict"):
        return foreign.load(cls, folder)
    if _weightless.get():
        with torch.device("meta"), foreign.boundary(folder):
            return cls.from_config(cls.load_config(folder))
    module, info = foreign.load(cls, folder, output_loading_info=True)
    problems = [
        f"{len(info[kind])} {kind.replace('_', ' ')} (such as {next(iter(info[kind]))})"
        for kind in ("missing_keys", "mismatched_keys", "error_msgs")
        if info.get(kind)
    ]
    if problems:
        raise ModelError(f"{folder}: {'; '.join(problems)}.", "Weights must fit config.json.")
    # whatever it was saved in: these are the weights that an optimiser moves, or what feeds them
    return module.float()


def built(cls: Any, config: Mapping[str, Any]) -> Any:
    """A diffusers module with random weights.

    Raises:
        ModelError: The class does not take the configuration.
    """
    known = [name for name in inspect.signature(cls.__init__).parameters if name != "self"]
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise ModelError(f"model.config: {cls.__name__} has no {', '.join(unknown)}.", f"It has {', '.join(known)}.")
    try:
        with placed():
            return cls(**config)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, AssertionError) as error:
        raise ModelError(f"model.config does not fit {cls.__name__}: {error}.", "Correct the named value.") from error


_weightless: ContextVar[bool] = ContextVar("weightless", default=False)


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Modules made or read inside are on the meta device: shapes without data."""
    token = _weightless.set(True)
    try:
        yield
    finally:
        _weightless.reset(token)


def placed() -> contextlib.AbstractContextManager[Any]:
    """Where modules are made: as torch has it, or on the meta device inside `without_weights`."""
    return torch.device("meta") if _weightless.get() else contextlib.nullcontext()


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random weights from `seed`, leaving torch's global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def write_index(
    directory: Path, pipeline: str, origin: Origin, parts: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Write `model_index.json`.

    Args:
        pipeline: Class that generates what was trained; a text-to-video base becomes an image-to-video checkpoint.
        origin: Where the model was read from.
        parts: Objects by name; None is written as absent, a part of the origin's own as the origin wrote it.
        settings: Values of the pipeline besides its parts; they go before the origin's.
    """
    import diffusers

    kept = {k: v for k, v in origin.index.items() if not k.startswith("_") and not isinstance(v, list)}
    index: dict[str, Any] = {"_class_name": pipeline, "_diffusers_version": diffusers.__version__}
    index |= {**kept, **settings}
    for name, part in parts.items():
        if part is None:
            index[name] = list(origin.index[name]) if origin.has(name) else [None, None]
        else:
            index[name] = [type(part).__module__.split(".")[0], type(part).__name__]
    _write_json(directory / INDEX, index)


def read_scheduler(directory: Path) -> Any:
    """The scheduler of the class that `model_index.json` names.

    Raises:
        ModelError: diffusers has no such class, or its configuration does not fit.
    """
    return read_part(part_class(directory, "scheduler"), directory, "scheduler")


def write_card(directory: Path, *, family: str, context: int, **notes: Any) -> None:
    """Write what diffusers has no place for; `notes` are the family's own."""
    _write_json(directory / CARD, {"family": family, "context": context, **notes})


def read_notes(directory: Path) -> dict[str, Any]:
    """All of a card; empty for a directory that this program did not write."""
    if not (directory / CARD).is_file():
        return {}
    read_card(directory)
    notes: dict[str, Any] = json.loads((directory / CARD).read_text(encoding="utf-8"))
    return notes


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


def part_class(directory: Path, part: str) -> Any:
    """The diffusers class that `model_index.json` names for a part.

    Raises:
        ModelError: It names none, or none that diffusers has.
    """
    import diffusers

    name = (read_index(directory).get(part) or [None, None])[1]
    cls = getattr(diffusers, str(name), None)
    if cls is None:
        raise ModelError(
            f"{directory / INDEX}: diffusers has no {part} {name}.", "Give a complete diffusers directory."
        )
    return cls


def read_pipeline(cls: Any, directory: Path, parts: Mapping[str, Any]) -> Any:
    """A stock pipeline from safetensors only.

    Args:
        parts: Parts that are there already, or None for parts that are left out.

    Raises:
        ModelError: A part is missing or does not fit.
    """
    foreign.check_parts(directory, read_index(directory), frozenset(parts))
    with foreign.boundary(directory, what=f"cannot be loaded as {cls.__name__}"):
        # transformers keeps the precision in which a part was saved, and parts of two precisions cannot work together
        return cls.from_pretrained(directory, use_safetensors=True, trust_remote_code=False, **parts).to(torch.float32)
