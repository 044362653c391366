"""Files of times beside images: seconds or a finer unit, dates, with or without the images' names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

from drivereplay.errors import DataError

UNITS = {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "ns": Decimal("1e-9")}
"""Seconds of each unit."""
_RATES = (Decimal(1), Decimal(240))
"""Frames per second that a camera may have. Units are a factor of 1,000 apart, so at most one gives such a rate."""
_DATE = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(\.\d+)?")


@dataclass(frozen=True)
class ImageTimes:
    """What a file of times says.

    Attributes:
        seconds: Time of each line from the first one, in seconds.
        names: File name of each line's image; empty where the lines do not name images.
        unit: Unit in which the file counts.
    """

    seconds: tuple[float, ...]
    names: tuple[str, ...]
    unit: str


def read_times(file: Path, unit: str | None = None) -> ImageTimes:
    """Read `timestamps.txt`, `times.txt` or a file like EuRoC's `data.csv` and TUM's `rgb.txt`.

    A line is a number; or a number and the name of an image, with a space, tab or comma between them; or a date and a
    time. What follows `#` is a comment. Several numbers in a line are so many times.

    Args:
        file: The file.
        unit: `s`, `ms`, `us` or `ns`. By default the one in which the median step between two times comes to 1 to 240
            frames per second.

    Raises:
        DataError: A line is none of these, or the unit cannot be told.
    """
    values: list[Decimal] = []
    names: list[str] = []
    dated = False
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}.", "It is a text file with a time a line.") from error
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if (date := date_seconds(entry)) is not None:
            values.append(date)
            dated = True
            continue
        first, comma, rest = entry.partition(",")
        # `0,1` is no list of two times but a decimal comma
        fields = [first, rest.strip()] if comma and _number(rest) is None else entry.split()
        if len(fields) == 2 and _number(fields[1]) is None:
            names.append(Path(fields.pop()).name)
        for field in fields:
            value = _number(field)
            if value is None:
                raise DataError(f"{file}, line {number}: '{field}' is no number of seconds.", _FORMAT)
            values.append(value)
    if names and len(names) != len(values):
        raise DataError(f"{file} names {len(names)} images beside {len(values)} times.", _FORMAT)
    unit = "s" if dated else unit or _unit(values, file)
    return ImageTimes(tuple(float((v - values[0]) * UNITS[unit]) for v in values), tuple(names), unit)


_FORMAT = "It holds a time a line, such as 0.1 (with a decimal point), or a time and the name of an image."


def date_seconds(text: str) -> Decimal | None:
    """Seconds from 1970 of `2011-09-26 13:02:25.964389445`, as KITTI writes it; None where it is no such date."""
    parts = _DATE.fullmatch(text)
    try:
        # nine digits of a second are more than `datetime` takes
        whole = datetime.fromisoformat(f"{parts[1]}+00:00") if parts else None
    except ValueError:
        whole = None
    return None if whole is None or parts is None else Decimal(int(whole.timestamp())) + Decimal(f"0{parts[2] or ''}")


def _number(text: str) -> Decimal | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def _unit(values: list[Decimal], file: Path) -> str:
    steps = sorted(b - a for a, b in pairwise(values))
    step = steps[len(steps) // 2] if steps else Decimal(0)
    if step <= 0:
        # nothing to go by; that times do not increase is for the index to say
        return "s"
    fitting = [unit for unit, scale in UNITS.items() if _RATES[0] <= 1 / (step * scale) <= _RATES[1]]
    if not fitting:
        rates = ", ".join(f"{float(1 / (step * scale)):.3g} in {unit}" for unit, scale in UNITS.items())
        raise DataError(
            f"{file}: the unit of its times cannot be told; frames per second would be {rates}.",
            "Set the source's `time_unit` to s, ms, us or ns.",
        )
    return fitting[0]
