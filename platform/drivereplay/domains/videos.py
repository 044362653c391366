"""Video files of any format: a directory, one file or a glob."""

from __future__ import annotations

import glob
from pathlib import Path

from drivereplay.domains.annotations import annotation_directory
from drivereplay.domains.recording import Recording
from drivereplay.domains.search import files_below
from drivereplay.domains.sidecar import sidecar
from drivereplay.errors import DataError, SpecError

EXTENSIONS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".wmv", ".flv", ".ogv",
     ".3gp", ".gif", ".hevc", ".h264", ".h265", ".264", ".265"}
)  # fmt: skip
"""File names that a directory is searched for; a glob or a single file is taken as it is."""


def read_videos(path: str, out: Path | None = None) -> list[Recording]:
    """One recording per video file, sorted by name.

    Whether a file can be decoded is for the index to find out. Annotations may lie beside a video in any of the forms
    of `drivereplay.domains.sidecar`.

    Args:
        path: A directory (searched with all below it, through links too, hidden names left out), a file, or a glob
            (`**` allowed).
        out: Where annotations of other forms are put; None leaves them aside.

    Raises:
        SpecError: There is no such directory or file.
        DataError: Two videos lie beside the same annotations, or annotations cannot be read.
    """
    root = Path(path).expanduser()
    if root.is_dir():
        files = files_below(root, EXTENSIONS)
    elif root.is_file():
        files, root = [root], root.parent
    elif glob.has_magic(path):
        root, pattern = _divided(root)
        files = sorted(p for p in map(Path, glob.glob(pattern, recursive=True)) if p.is_file())  # noqa: PTH207 (absolute globs)
    else:
        raise SpecError(f"There is no directory or file {path}.", "Correct the source's `path`.")
    found = [_recording(file, root, out) for file in files]
    _check_annotations(found)
    return found


def _divided(path: Path) -> tuple[Path, str]:
    """The directory above the first wildcard, and the glob; brackets in names of directories that exist are letters."""
    fixed = Path()
    for part in path.parts:
        if glob.has_magic(part) and not (fixed / part).is_dir():
            break
        fixed /= part
    return fixed, str(Path(glob.escape(str(fixed))) / path.relative_to(fixed))


def _check_annotations(recordings: list[Recording]) -> None:
    """Refuse annotations that could be of either of two videos, such as `a.json` beside `a.mp4` and `a.mov`."""
    by_stem: dict[Path, Recording] = {}
    for recording in recordings:
        other = by_stem.setdefault(Path(recording.path).with_suffix(""), recording)
        if other is not recording and recording.annotations is not None:
            raise DataError(
                f"{other.path} and {recording.key} lie beside the same annotations.",
                "Rename one video, and the annotations of each by its name.",
            )


def _recording(file: Path, root: Path, out: Path | None) -> Recording:
    known = annotation_directory(file)
    return Recording(
        key=file.relative_to(root).as_posix(),
        path=str(file.absolute()),
        annotations=str(known.absolute()) if known.is_dir() else sidecar(file, out) if out is not None else None,
    )
