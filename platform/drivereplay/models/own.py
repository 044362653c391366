"""Families from outside the package: entry points of installed packages, and a class in a file of the user's."""

from __future__ import annotations

import hashlib
import importlib.metadata
import linecache
import sys
import types
from typing import TYPE_CHECKING

from drivereplay._sections import own_family
from drivereplay.errors import ModelError

if TYPE_CHECKING:
    from drivereplay.models.base import VideoModel

GROUP = "drivereplay.families"
"""Entry-point group: `mine = "my_package.module:Mine"` in a package's pyproject.toml."""


def installed() -> dict[str, type[VideoModel]]:
    """Families of installed packages, by their own name.

    Raises:
        ModelError: A package's entry point does not load, or is no family.
    """
    found = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        try:
            cls = point.load()
        except Exception as error:
            raise ModelError(
                f"The family {point.name} of {_package(point)} does not load: {type(error).__name__}: {error}.",
                f"Correct {point.value}, or uninstall that package.",
            ) from error
        cls = checked(cls, f"{point.value} of {_package(point)}")
        found[cls.family] = cls
    return found


def from_file(family: str) -> type[VideoModel]:
    """The class that `path/to/file.py:Class` names. Its file is run, once in each process.

    Raises:
        ModelError: The file fails, has no such class, or the class is no family.
    """
    source = own_family.source_of(family)
    path, _, name = family.rpartition(":")
    # by content: an edited file is another module
    module_name = f"drivereplay_family_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    module = sys.modules.get(module_name)
    if module is None:
        module = types.ModuleType(module_name)
        module.__file__ = path
        # tracebacks show the user's lines, also where the file itself is not
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        sys.modules[module_name] = module
        try:
            exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user's own file
        except Exception as error:
            del sys.modules[module_name]
            raise ModelError(
                f"model.family: {path} fails: {type(error).__name__}: {error}.", "Run it with Python to see where."
            ) from error
    cls = getattr(module, name, None)
    if cls is None:
        raise ModelError(f"model.family: {path} has no class {name}.", "Give path/to/file.py:Class.")
    found = checked(cls, family)
    own_family.remember(family, source)
    return found


def checked(cls: object, where: str) -> type[VideoModel]:
    """`cls`, if it is a complete family.

    Raises:
        ModelError: It is no subclass of `VideoModel`, or lacks methods or values.
    """
    from drivereplay.models.base import VideoModel

    if not isinstance(cls, type) or not issubclass(cls, VideoModel):
        raise ModelError(f"{where} is no subclass of drivereplay.models.base.VideoModel.", "See docs/models.md.")
    values = ("family", "pipelines", "lora_targets", "layer_groups")
    lacking = [*sorted(cls.__abstractmethods__), *(name for name in values if not hasattr(cls, name))]
    if lacking:
        raise ModelError(f"{where} lacks {', '.join(lacking)}.", "See docs/models.md.")
    return cls


def _package(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an installed package"
