"""Image sequences: a directory of pictures is a recording; so is each directory of pictures below it."""

from __future__ import annotations

from pathlib import Path

from drivereplay.domains.recording import Recording
from drivereplay.domains.search import directories_below, in_order
from drivereplay.domains.times import read_times
from drivereplay.errors import DataError, SpecError

EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff"})


def read_images(path: str, fps: float | None, time_unit: str | None = None) -> list[Recording]:
    """One recording for each directory with at least two images, which are taken in the order of their names.

    Numbers in names count by their value: `frame2` comes before `frame10`. Hidden names are left out.

    Times come from `timestamps.txt` or `times.txt` beside them (see `drivereplay.domains.times`), else from `fps`.

    Args:
        path: The directory.
        fps: Frames per second where there is no file of times.
        time_unit: Unit of the times: `s`, `ms`, `us` or `ns`; None if the rate that they come to says it.

    Raises:
        SpecError: There is no such directory, or neither times nor a frame rate.
        DataError: A file of times does not fit the images, or two images share a name but for its ending.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise SpecError(f"There is no directory {path}.", "Correct the source's `path`.")
    found = []
    for directory, files in sorted(directories_below(root)):
        names = in_order(name for name in files if Path(name).suffix.lower() in EXTENSIONS)
        if len(names) > 1:
            _check_names(directory, names)
            found.append(_recording(root, directory, names, fps, time_unit))
    return found


def times_file(directory: Path) -> Path | None:
    """The file of times beside pictures, if there is one."""
    return next((directory / n for n in ("timestamps.txt", "times.txt") if (directory / n).is_file()), None)


def _check_names(directory: Path, names: list[str]) -> None:
    by_stem: dict[str, str] = {}
    for name in names:
        other = by_stem.setdefault(Path(name).stem, name)
        if other != name:
            raise DataError(f"{directory} has both {other} and {name}.", "Keep one file of each image.")


def _recording(root: Path, directory: Path, names: list[str], fps: float | None, unit: str | None) -> Recording:
    key = directory.relative_to(root).as_posix()
    file = times_file(directory)
    times: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    if file is not None:
        times, notes = _times(file, names, unit)
    elif fps is None:
        raise SpecError(f"The images in {directory} have no times.", "Set the source's `fps`, or add timestamps.txt.")
    annotations = directory / "annotations"
    return Recording(
        key=root.name if key == "." else key,
        path=str(directory.absolute()),
        images=tuple(names),
        fps=fps,
        timestamps_s=times,
        notes=notes,
        annotations=str(annotations.absolute()) if (annotations / "frames.parquet").is_file() else None,
    )


def _times(file: Path, names: list[str], unit: str | None) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Seconds of each image, and what was made of the file."""
    found = read_times(file, unit)
    times = found.seconds
    if found.names:
        by_name = dict(zip(found.names, times, strict=True))
        missing = [name for name in names if name not in by_name]
        if missing:
            raise DataError(f"{file} has no time for {missing[0]}.", "Give each image its time.")
        times = tuple(by_name[name] for name in names)
    if len(times) != len(names):
        raise DataError(f"{file} has {len(times)} times for {len(names)} images.", "Give each image its time.")
    told = unit is None and found.unit != "s"
    return times, (f"{file.name} is read as {_UNITS[found.unit]}, by the frame rate that this gives",) if told else ()


_UNITS = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
