"""Looking for files below a directory, in an order that people expect."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path


def directories_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A directory and all below it, each with the sorted names of its files; hidden names are left out.

    Links to directories are followed once all else has been seen. A directory that is reached in several ways comes
    once, so that a link which leads back up ends there. What may not be listed is passed over, as `Path.rglob` does.
    """
    seen: set[Path] = set()
    waiting, links = deque([root]), deque[Path]()
    while waiting or links:
        directory = (waiting or links).popleft()
        real = directory.resolve()
        if real in seen:
            continue
        seen.add(real)
        names = []
        for entry in _entries(directory):
            if entry.is_file():
                names.append(entry.name)
            elif entry.is_dir():
                (links if entry.is_symlink() else waiting).append(directory / entry.name)
        yield directory, names


def files_below(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """The files of `directories_below` whose names end in one of `suffixes` (in small letters), sorted."""
    files = (directory / name for directory, names in directories_below(root) for name in names)
    return sorted(file for file in files if file.suffix.lower() in suffixes)


def natural(name: str) -> tuple[list[str | int], str]:
    """Sorts names by the value of the numbers in them: `frame2` comes before `frame10`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)], name


def in_order(names: Iterable[str]) -> list[str]:
    """File names in the order in which their images were taken: by the numbers in them.

    Names that are decimal numbers and nothing else, as a program writes them that names images by their times, go by
    their value: `0.5`, `0.25` and `1e-05` are seconds. `1.9` and `1.10`, where a fraction ends with 0, are counted.
    """
    found = list(names)
    stems = {name: Path(name).stem for name in found}
    fractions = [parts[1] or "" for stem in stems.values() if (parts := _DECIMAL.fullmatch(stem))]
    decimal = len(fractions) == len(found) and any(fractions)
    # the shortest text of a float never ends with 0, but for whole numbers
    counted = any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)
    if decimal and (not counted or len({len(fraction) for fraction in fractions}) == 1):
        return sorted(found, key=lambda name: (float(stems[name]), name))
    return sorted(found, key=natural)


_DECIMAL = re.compile(r"[-+]?\d+(?:\.(\d+))?(?:[eE][-+]?\d+)?")


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """What is not hidden, by name; without links that lead nowhere."""
    try:
        with os.scandir(directory) as entries:
            there = [e for e in entries if not e.name.startswith(".") and (not e.is_symlink() or Path(e).exists())]
    except (PermissionError, FileNotFoundError):
        return []
    return sorted(there, key=lambda entry: entry.name)
