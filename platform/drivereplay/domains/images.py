"""Image sequences: a directory of pictures is a recording; so is each directory of pictures below it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from drivereplay.domains.recording import Recording
from drivereplay.domains.search import directories_below, natural
from drivereplay.errors import DataError, SpecError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})


def read_images(path: str, fps: float | None) -> list[Recording]:
    """One recording for each directory with at least two pictures, which are taken in the order of their names.

    Numbers in names count by their value: `frame2` comes before `frame10`. Hidden names are left out.

    Times come from `timestamps.txt` or `times.txt` beside the pictures (a number of seconds a line), else from `fps`.

    Raises:
        SpecError: There is no such directory, or neither times nor a frame rate.
        DataError: A file of times does not fit the pictures.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise SpecError(f"There is no directory {path}.", "Correct the source's `path`.")
    found = []
    for directory, files in sorted(directories_below(root)):
        names = sorted((name for name in files if Path(name).suffix.lower() in EXTENSIONS), key=natural)
        if len(names) > 1:
            found.append(_recording(root, directory, names, fps))
    return found


def times_file(directory: Path) -> Path | None:
    """The file of times beside pictures, if there is one."""
    return next((directory / n for n in ("timestamps.txt", "times.txt") if (directory / n).is_file()), None)


def _recording(root: Path, directory: Path, names: list[str], fps: float | None) -> Recording:
    key = directory.relative_to(root).as_posix()
    file = times_file(directory)
    times: tuple[float, ...] = ()
    if file is not None:
        try:
            times = tuple(float(line) for line in file.read_text(encoding="utf-8").split())
        except ValueError as error:
            raise DataError(f"{file}: {error}.", "It holds a number of seconds a line.") from error
        if len(times) != len(names) or not np.isfinite(times).all():
            raise DataError(f"{file} has {len(times)} times for {len(names)} pictures.", "Give each picture its time.")
    elif fps is None:
        raise SpecError(f"The pictures in {directory} have no times.", "Set the source's `fps`, or add timestamps.txt.")
    annotations = directory / "annotations"
    return Recording(
        key=root.name if key == "." else key,
        path=str(directory.absolute()),
        images=tuple(names),
        fps=fps,
        timestamps_s=times,
        annotations=str(annotations.absolute()) if (annotations / "frames.parquet").is_file() else None,
    )
