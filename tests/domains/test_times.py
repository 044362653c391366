"""Files of times: units, dates, names, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from drivereplay.domains.times import date_seconds, read_times
from drivereplay.errors import DataError

NANOSECONDS = 1403636579763555584  # the first time of EuRoC's MH_01


def saved(directory: Path, text: str | bytes) -> Path:
    file = directory / "timestamps.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def lines(values: list[object], end: str = "\n") -> str:
    return end.join(map(str, values))


@pytest.mark.parametrize(
    ("text", "step_s", "unit"),
    [
        (lines([f"{n * 0.1:.3f}" for n in range(40)]), 0.1, "s"),
        (lines([f"{n * 0.1:e}" for n in range(40)]), 0.1, "s"),
        (lines([f"{1305031102.175304 + n * 0.1:.6f}" for n in range(40)]), 0.1, "s"),
        (lines(list(range(40))), 1.0, "s"),
        (lines([n * 100 for n in range(40)]), 0.1, "ms"),
        (lines([f"{n * 100 / 3:.3f}" for n in range(40)]), 1 / 30, "ms"),
        (lines([n * 100_000 for n in range(40)]), 0.1, "us"),
        (lines([NANOSECONDS + n * 50_000_000 for n in range(40)]), 0.05, "ns"),
        ("\ufeff" + lines([f"{n * 0.1:.3f}" for n in range(40)], "\r\n"), 0.1, "s"),
        ("# timestamp filename\n" + lines([f"{n * 0.1:.3f}  # image {n}" for n in range(40)]), 0.1, "s"),
        (lines([f"2011-09-26 13:02:{25 + n * 0.1:012.9f}" for n in range(40)]), 0.1, "s"),
        (lines([f"{n * 0.1:.3f}" for n in range(40)], " "), 0.1, "s"),
    ],
    ids=[
        "seconds",
        "exponents",
        "epoch",
        "whole",
        "ms",
        "fractions",
        "us",
        "ns",
        "bom",
        "comments",
        "dates",
        "one-line",
    ],
)
def test_units_follow_from_the_rate(tmp_path: Path, text: str, step_s: float, unit: str) -> None:
    found = read_times(saved(tmp_path, text))
    assert found.unit == unit
    assert found.seconds == pytest.approx([n * step_s for n in range(40)], abs=1e-4)


def test_a_gap_or_two_do_not_change_the_unit(tmp_path: Path) -> None:
    values = [n * 33 + (n > 10) * 5_000_000 + (n > 20) * 1 for n in range(40)]
    assert read_times(saved(tmp_path, lines(values))).unit == "ms"


@pytest.mark.parametrize("step", [2, 2_000, 0.001, 3_000_000_000_000])
def test_a_unit_that_cannot_be_told_is_asked_for(tmp_path: Path, step: float) -> None:
    file = saved(tmp_path, lines([n * step for n in range(9)]))
    with pytest.raises(DataError, match="unit of its times cannot be told") as caught:
        read_times(file)
    assert "`time_unit`" in caught.value.fix
    assert read_times(file, "s").seconds == pytest.approx([n * step for n in range(9)])


@pytest.mark.parametrize("form", ["{time:.3f} rgb/{n:04d}.png", "{time:.3f},{n:04d}.png", "{time:.3f}\t{n:04d}.png"])
def test_lines_may_name_their_images(tmp_path: Path, form: str) -> None:
    found = read_times(saved(tmp_path, lines([form.format(time=n * 0.1, n=n) for n in range(5)])))
    assert found.names == tuple(f"{n:04d}.png" for n in range(5))
    assert found.seconds == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,000\n0,100\n", "line 1: '0,000' is no number"),
        ("0.0\ntwo\n", "line 2: 'two' is no number"),
        ("0.0\nnan\n", "line 2: 'nan' is no number"),
        ("0.0\n1e999999999999\ninf\n", "no number"),
        ("2011-13-26 13:02:25.5\n", "'2011-13-26' is no number"),
        ("0.0 a.png\n0.1\n", "names 1 images beside 2 times"),
        (b"\xff\xfe0\x00", "cannot be read"),
    ],
)
def test_what_is_no_time_is_named(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_times(saved(tmp_path, text))


def test_an_empty_file_has_no_times(tmp_path: Path) -> None:
    assert read_times(saved(tmp_path, "\n# nothing\n")).seconds == ()


def test_nanoseconds_of_a_date_are_kept() -> None:
    first, second = date_seconds("2011-09-26 13:02:25.964389445"), date_seconds("2011-09-26 13:02:26.067892129")
    assert first is not None and second is not None
    assert second - first == Decimal("0.103502684")
    assert int(first) == 1317042145  # date -u -d '2011-09-26 13:02:25' +%s
