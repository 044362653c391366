"""Which files below a directory travel with a job, and why the others do not."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field
from pathlib import Path

RAY_LEAVES_OUT = (".git", ".venv", "venv", "__pycache__", ".gitignore", ".rayignore")
"""Names that Ray takes into no package, and files by which it would leave out yet others."""

_NOBODY_NEEDS = (".hg", "runs", "node_modules", ".*_cache", "*.pyc", "*.egg-info")


@dataclass
class Files:
    """Files that travel, before anything is copied.

    Attributes:
        taken: Path in the package to the file that is copied there.
        left_out: Path in the package to why what is there does not travel; what nobody needs is not named.
    """

    taken: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, source: Path, name: str, *, confined: bool = True) -> None:
        """Take a file, or all files below a directory.

        What a link leads to is taken in the link's place.

        Args:
            source: What to take.
            name: Its name in the package.
            confined: Leave out links that lead out of the directory.
        """
        real = _real(source)
        if real.is_dir():
            self._walk(real, name, real if confined else None, (real,))
        else:
            self.taken[name] = real

    def sizes(self) -> list[tuple[str, int]]:
        """Path in the package and bytes of each file that travels."""
        return [(place, source.stat().st_size) for place, source in self.taken.items()]

    def _walk(self, directory: Path, place: str, root: Path | None, trail: tuple[Path, ...]) -> None:
        for entry in sorted(directory.iterdir()):
            if any(fnmatch.fnmatch(entry.name, pattern) for pattern in (*RAY_LEAVES_OUT, *_NOBODY_NEEDS)):
                continue
            real, where = _real(entry), f"{place}/{entry.name}"
            obstacle = _obstacle(entry, real, root, trail)
            if obstacle:
                self.left_out[where] = obstacle
            elif real.is_dir():
                self._walk(real, where, root, (*trail, real))
            else:
                self.taken[where] = real


def _obstacle(entry: Path, real: Path, root: Path | None, trail: tuple[Path, ...]) -> str:
    """Why something cannot be taken; empty if it can."""
    if entry.is_symlink() and root is not None and not real.is_relative_to(root):
        return f"links to {real}, which is outside {root}"
    if not real.exists():
        return "links to nothing"
    if real in trail:
        return "links to a directory that it lies in"
    if not (real.is_dir() or real.is_file()):
        return "is neither a file nor a directory"
    return ""


def _real(path: Path) -> Path:
    # unlike Path.resolve it takes a link that leads to itself
    return Path(os.path.realpath(path))
