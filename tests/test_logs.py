"""Log lines that machines read: whole, with trial, step and node."""

from __future__ import annotations

import io
import json
import logging
import platform
from collections.abc import Iterator

import pytest

from drivereplay.logs import LOGGER, JsonFormatter, current, fields, install


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    logger = logging.getLogger(LOGGER)
    before = (list(logger.handlers), logger.level, logger.propagate)
    target = io.StringIO()
    install(target)
    yield target
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def _lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_where_and_when(stream: io.StringIO) -> None:
    with fields(trial="t0003"), fields(step=120):
        logging.getLogger("drivereplay.training").info("checkpoint of %d bytes\nwritten", 7)
    logging.getLogger("drivereplay.search").warning("outside")
    inside, outside = _lines(stream)
    assert inside["message"] == "checkpoint of 7 bytes\nwritten"
    assert (inside["trial"], inside["step"], inside["level"]) == ("t0003", 120, "info")
    assert inside["node"] == platform.node() and str(inside["time"]).endswith("+00:00")
    assert "trial" not in outside and outside["level"] == "warning"


def test_fields_can_be_handed_on(stream: io.StringIO) -> None:
    with fields(trial="t0003"):
        handed = current()
    assert current() == {}
    with fields(**handed, step=4):
        assert current() == {"trial": "t0003", "step": 4}


def test_an_exception_is_part_of_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("broken clip")
    except ValueError:
        logging.getLogger("drivereplay.data").exception("decoding failed")
    (line,) = _lines(stream)
    assert "ValueError: broken clip" in str(line["error"])


def test_installing_twice_does_not_say_things_twice(stream: io.StringIO) -> None:
    install(stream)
    logging.getLogger("drivereplay.data").info("once")
    assert len(_lines(stream)) == 1
    json_handlers = [h for h in logging.getLogger(LOGGER).handlers if isinstance(h.formatter, JsonFormatter)]
    assert len(json_handlers) == 1


def test_other_libraries_are_left_alone(stream: io.StringIO) -> None:
    logging.getLogger("somebody.else").warning("not ours")
    assert stream.getvalue() == ""
