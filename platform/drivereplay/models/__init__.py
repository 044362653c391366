"""Video models: one file per diffusers family, found by name; nothing else in the project names a family."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drivereplay._sections.own_family import names_file
from drivereplay.errors import ModelError
from drivereplay.integrity import MANIFEST, damaged_file
from drivereplay.storage import Storage

if TYPE_CHECKING:
    import torch

    from drivereplay.models.base import VideoModel
    from drivereplay.spec import Spec

__all__ = ["families", "family_of", "load_checkpoint", "load_model", "local_base", "open_base", "shipped"]

_SHIPPED = Path(__file__).parent / "shipped"


def families() -> dict[str, type[VideoModel]]:
    """All families by name. A family is a module of this package with a `VideoModel` subclass that has a `family`."""
    from drivereplay.models.base import VideoModel

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[str, type[VideoModel]] = {}
    waiting: list[type[VideoModel]] = list(VideoModel.__subclasses__())
    while waiting:
        cls = waiting.pop()
        waiting.extend(cls.__subclasses__())
        if "family" in cls.__dict__:
            found[cls.family] = cls
    from drivereplay.models.own import installed

    return dict(sorted({**found, **installed()}.items()))


def shipped() -> list[str]:
    """Names of the bases that come with the package."""
    return sorted(p.name for p in _SHIPPED.iterdir() if p.is_dir()) if _SHIPPED.is_dir() else []


def load_model(spec: Spec, *, device: torch.device | str = "cpu") -> VideoModel:
    """The base model of an experiment.

    `spec.model.base` is tried as `random`, a shipped name, a directory, and last as a hub id.

    Raises:
        ModelError: The base is not there, is of another family, is damaged, or cannot take the clip size.
    """
    model = open_base(spec)
    model.check(spec.clip.frames, spec.clip.height, spec.clip.width)
    model.training = spec.training
    return model.to(device)


def open_base(spec: Spec) -> VideoModel:
    """The base model of an experiment as `load_model` reads it, its size not checked, on the CPU."""
    from drivereplay.models import foreign
    from drivereplay.storage import Storage

    cls = family_of(spec)
    base = spec.model.base
    if base == "random":
        if spec.model.expert is not None:
            raise ModelError("model.expert does not go with `base: random`, which has one denoiser.", "Remove it.")
        model = cls.random(spec)
    else:
        if spec.model.config:
            raise ModelError("model.config only goes with `base: random`.", f"Remove it, or the base {base}.")
        directory = _directory(base, spec.model.revision)
        _require_family(cls, directory)
        with foreign.boundary(directory):
            model = cls.open(directory, context=spec.clip.context, **_expert(cls, spec))
    model.keep_text(Storage.of(spec.storage).below(".shared", "cache", "text"))
    return model


def load_checkpoint(directory: str | Path, *, device: torch.device | str = "cpu") -> VideoModel:
    """A model from a directory that `VideoModel.save` wrote; it knows its family and context.

    Raises:
        ModelError: The directory is not such a checkpoint, or is damaged.
    """
    from drivereplay.models import foreign, layout

    directory = Path(directory)
    if not directory.is_dir():
        raise ModelError(
            f"There is no checkpoint directory {directory}.", "Checkpoints lie in checkpoints/step-N of a run."
        )
    if (directory / MANIFEST).is_file():
        wrong = damaged_file(Storage.of(directory))
        if wrong is not None:
            raise ModelError(
                f"{directory / wrong} is damaged: it is not what was written.", "Take another checkpoint of the run."
            )
    card = layout.read_card(directory)
    with foreign.boundary(directory):
        return _family(card["family"]).open(directory, context=card["context"]).to(device)


def family_of(spec: Spec) -> type[VideoModel]:
    """The family of an experiment.

    Raises:
        ModelError: There is none of that name.
    """
    if names_file(spec.model.family):
        from drivereplay.models.own import from_file

        return from_file(spec.model.family)
    return _family(spec.model.family)


def local_base(base: str) -> Path | None:
    """The directory of a base that is on this machine already: shipped, or a path; None for a hub id."""
    if (_SHIPPED / base / "model_index.json").is_file() and "/" not in base:
        return _SHIPPED / base
    path = Path(base).expanduser()
    return path if path.is_dir() else None


def _family(name: str) -> type[VideoModel]:
    known = families()
    if name not in known:
        # a process that was handed an experiment and loads only its checkpoints
        from drivereplay._sections.own_family import remembered
        from drivereplay.models.own import from_file

        own = {cls.family: cls for cls in map(from_file, remembered())}
        if name in own:
            return own[name]
        raise ModelError(
            f"model.family: there is no family '{name}'.",
            f"There are {', '.join(known)}. One of your own is named in the experiment as path/to/file.py:Class, or by"
            " an entry point `drivereplay.families` of an installed package.",
        )
    return known[name]


def _expert(cls: type[VideoModel], spec: Spec) -> dict[str, Any]:
    """`model.expert` as an argument of `open`, for families that know experts."""
    if spec.model.expert is None:
        return {}
    if "expert" not in inspect.signature(cls.open).parameters:
        raise ModelError(f"model.expert is {spec.model.expert}, but {cls.family} has one denoiser.", "Remove it.")
    return {"expert": spec.model.expert}


def _require_family(cls: type[VideoModel], directory: Path) -> None:
    from drivereplay.models import layout

    pipeline = str(layout.read_index(directory)["_class_name"])
    if pipeline in cls.pipelines:
        return
    owner = next((name for name, other in families().items() if pipeline in other.pipelines), None)
    fix = f"Set model.family to {owner}." if owner else f"{cls.family} reads {', '.join(cls.pipelines)}."
    raise ModelError(f"model.family is {cls.family}, but {directory} holds a {pipeline}.", fix)


def _directory(base: str, revision: str | None) -> Path:
    """Where a base lies on this machine; of a hub id, what its index names is fetched."""
    known = local_base(base)
    if known is not None:
        if revision is not None:
            raise ModelError(
                f"model.revision is {revision}, but {base} is on this machine.", "A revision goes with a hub id."
            )
        return known
    if base.count("/") != 1 or base.startswith((".", "/", "~")):
        raise ModelError(
            f"model.base: there is no shipped base and no directory '{base}'.",
            f"Shipped: {', '.join(shipped()) or 'none'}. Otherwise give a diffusers directory, a hub id or `random`.",
        )
    from drivereplay.models.hub import fetch

    return fetch(base, revision)
