"""A model family in a file of the user's, named in the experiment: `model.family: path/to/file.py:Class`.

The file is run when the model of an experiment is loaded (`drivereplay.models`), never when an experiment is merely
read: one may lie beside a stranger's checkpoint. Once it was run its text travels with the experiment wherever that is
pickled to, so that Ray's workers on other machines have it.
"""

from __future__ import annotations

from pathlib import Path

from drivereplay.errors import SpecError

_SOURCES: dict[str, str] = {}
"""Text of the files that this process knows, by `path.py:Class`."""


def names_file(family: str) -> bool:
    """Whether `model.family` names a class in a file."""
    path, colon, name = family.rpartition(":")
    return bool(colon) and path.endswith(".py") and name.isidentifier()


def source_of(family: str) -> str:
    """The file's text: as it came with the experiment, else from this machine's disk.

    Raises:
        SpecError: The file cannot be read.
    """
    if family in _SOURCES:
        return _SOURCES[family]
    path = Path(family.rpartition(":")[0])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"model.family: {path} cannot be read: {error}.",
            "Give path/to/file.py:Class; a relative path counts from the experiment file.",
        ) from error


def source_if_run(family: str) -> str | None:
    """The file's text if this process has loaded it, else None."""
    return _SOURCES.get(family)


def remember(family: str, source: str) -> None:
    """Keep the text of a file that was run here, or that came with an experiment."""
    _SOURCES[family] = source


def remembered() -> list[str]:
    """Families in files that this process knows."""
    return list(_SOURCES)
