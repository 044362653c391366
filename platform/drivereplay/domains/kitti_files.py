"""KITTI's files: numbered pictures, calibrations, times, GPS/IMU readings. What they do not say is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drivereplay.domains.conversion import rigid
from drivereplay.domains.search import natural
from drivereplay.domains.times import date_seconds
from drivereplay.errors import DataError

T = TypeVar("T")
Calibration = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Pictures:
    """The pictures of one sequence.

    Attributes:
        directory: Where they lie.
        names: File names in order.
        numbers: Frame number of each, by which labels, poses and times count: that of its name, which need not begin
            at 0; their places where the names are no numbers.
    """

    directory: Path
    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, directory: Path) -> Pictures:
        """The pictures of a directory, without hidden files.

        Raises:
            DataError: There are none.
        """
        shown = (p.name for p in directory.iterdir() if p.suffix.lower() in (".png", ".jpg"))
        names = sorted((name for name in shown if not name.startswith(".")), key=natural)
        if not names:
            raise DataError(f"{directory} has no pictures.", "Unpack the sequence's pictures.")
        stems = [Path(name).stem for name in names]
        numbered = all(stem.isdecimal() for stem in stems)
        return cls(directory, tuple(names), tuple(map(int, stems)) if numbered else tuple(range(len(names))))

    @property
    def places(self) -> dict[int, int]:
        """Place of each frame number."""
        return {number: place for place, number in enumerate(self.numbers)}

    def each(self, lines: Sequence[T]) -> list[T | None]:
        """Of a file with a line for every frame, that of each picture; also where it only has those of the pictures."""
        if len(lines) == len(self.numbers):
            return list(lines)
        return [lines[number] if number < len(lines) else None for number in self.numbers]

    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the first picture.

        Raises:
            DataError: It cannot be decoded.
        """
        import cv2

        path = self.directory / self.names[0]
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise DataError(f"{path} cannot be decoded.")
        return picture.shape[1], picture.shape[0]


def lines_of(file: Path) -> list[str]:
    """The lines of a text file, without empty ones at its end; none where there is no such file.

    Raises:
        DataError: It is no text.
    """
    if not file.is_file():
        return []
    try:
        return file.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}.", "Unpack it again.") from error


def calibration(file: Path) -> Calibration:
    """`key: numbers` lines; lines of other things are left out. Empty where there is no such file."""
    found = {}
    for line in lines_of(file):
        key, _, values = line.replace(":", " ").partition(" ")
        try:
            found[key] = np.asarray([float(value) for value in values.split()])
        except ValueError:
            continue  # such as the date of the calibration
    return found


def matrix(known: Calibration, key: str, shape: tuple[int, int], file: Path) -> NDArray[np.float64] | None:
    """A matrix of a calibration, or None where it is not given.

    Raises:
        DataError: It has another number of values.
    """
    values = known.get(key)
    if values is None:
        return None
    if values.size != shape[0] * shape[1]:
        raise DataError(
            f"{file}: {key} has {values.size} numbers instead of {shape[0] * shape[1]}.", "Unpack it again."
        )
    return values.reshape(shape)


def beside(projection: NDArray[np.float64] | None, file: Path) -> NDArray[np.float64] | None:
    """(4, 4) from camera 0 to the camera of a projection (3, 4): it is moved by K⁻¹ times its last column.

    Raises:
        DataError: The projection is none.
    """
    if projection is None:
        return None
    try:
        return rigid(np.eye(3), np.linalg.solve(projection[:, :3], projection[:, 3]))
    except np.linalg.LinAlgError as error:
        raise DataError(f"{file}: a projection cannot be inverted.", "Unpack it again.") from error


def rigid_of(file: Path) -> NDArray[np.float64] | None:
    """(4, 4) of a file with a rotation `R` and a translation `T`; None where they are not given."""
    known = calibration(file)
    turn, shift = matrix(known, "R", (3, 3), file), matrix(known, "T", (3, 1), file)
    return None if turn is None or shift is None else rigid(turn, shift[:, 0])


def reading(line: str, file: Path, least: int) -> NDArray[np.float64]:
    """The numbers of a line.

    Raises:
        DataError: Something is no number, or there are fewer than `least`.
    """
    try:
        values = np.asarray([float(value) for value in line.split()])
    except ValueError as error:
        raise DataError(f"{file}: {error}.", "Unpack it again.") from error
    if len(values) < least:
        raise DataError(f"{file}: a line has {len(values)} numbers, it needs {least}.", "Unpack it again.")
    return values


def times_of(file: Path, pictures: Pictures) -> list[float | None]:
    """Seconds of each picture from the first one whose time is known.

    Lines are a date and a time (raw recordings) or seconds (odometry); None where a line is neither or missing.
    """
    known = pictures.each([_seconds(line) for line in lines_of(file)])
    first = next((time for time in known if time is not None), 0.0)
    return [None if time is None else time - first for time in known]


def _seconds(line: str) -> float | None:
    try:
        date = date_seconds(line.strip())
        seconds = float(line if date is None else date)
    except ValueError:
        return None
    return seconds if np.isfinite(seconds) else None
