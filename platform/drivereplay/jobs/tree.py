"""Which files below a directory travel with a job, and why the others do not."""

from __future__ import annotations

import fnmatch
import os
from dataclasses import dataclass, field
from pathlib import Path

RAY_LEAVES_OUT = (".git", ".venv", "venv", "__pycache__", ".gitignore", ".rayignore")
"""Names that Ray takes into no package, and files by which it would leave out yet others."""

_CREDENTIALS = (
    ".env", ".env.*", ".netrc", "_netrc", ".pypirc", ".npmrc", ".git-credentials", ".htpasswd", ".boto", "auth_token",
    ".aws", ".ssh", ".gnupg", ".kube", ".docker", ".azure", "gcloud", "credentials", "credentials.*", "secrets.*",
    "*service*account*.json", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
)  # fmt: skip
_PRIVATE_KEY = b"PRIVATE KEY-----"
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
            obstacle = _obstacle(entry, real, root, trail) or credentials(real, entry.name)
            if obstacle:
                self.left_out[where] = obstacle
            elif real.is_dir():
                self._walk(real, where, root, (*trail, real))
            else:
                self.taken[where] = real


def credentials(path: Path, name: str) -> str:
    """Why a file or directory may not travel to where everybody who can use the cluster can read it; empty if it may.

    Args:
        path: The file or directory.
        name: The name under which it was found; a link's own.
    """
    if any(fnmatch.fnmatch(text.lower(), pattern) for text in (name, path.name) for pattern in _CREDENTIALS):
        return "may hold credentials, by its name"
    if path.is_file():
        with path.open("rb") as file:
            if _PRIVATE_KEY in file.read(128):
                return "holds a private key"
    return ""


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
