"""Writing candidates: with any writer, any value, any name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.context import RequestContext
from tests.dashboards.helpers import provider

from drivereplay.evaluation.report import Estimate
from tensorboard_pareto import add_candidate, add_setup, add_video, records
from tensorboard_pareto.reader import Reader
from tensorboard_pareto.writer import interval, protocol_record


def read(logdir: Path) -> list[dict[str, Any]]:
    reader = Reader(provider(logdir))
    reader.refresh(RequestContext())
    page = reader.page(limit=None)
    assert not page.problems
    return [json.loads(data) for data in page.candidates]


def torch_writer(directory: str) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(directory)


def tensorboardx_writer(directory: str) -> Any:
    from tensorboardX import SummaryWriter

    return SummaryWriter(directory)


def summary_writer(directory: str) -> Any:
    from tensorboard.summary import Writer

    return Writer(directory)


def event_file_writer(directory: str) -> Any:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(directory)


@pytest.mark.parametrize("make", [torch_writer, tensorboardx_writer, summary_writer, event_file_writer])
def test_any_writer_will_do(make: Any, tmp_path: Path) -> None:
    writer = make(str(tmp_path))
    name = add_candidate(writer, {"rate": 0.1}, {"fvd": 3.0, "ade": (1.0, 0.9, 1.2, 8)}, step=7)
    writer.close()
    (candidate,) = read(tmp_path)
    assert candidate["name"] == name
    assert candidate["parameters"] == {"rate": 0.1}
    assert candidate["metrics"] == {"fvd": [3.0, "NaN", "NaN", None], "ade": [1.0, 0.9, 1.2, 8]}
    assert (candidate["step"], candidate["run"], candidate["status"]) == (7, ".", "finished")


def test_an_object_without_a_writer_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot write summaries with a list"):
        add_candidate([], {}, {"a": 1.0})


def test_numbers_of_every_kind(tmp_path: Path) -> None:
    writer = event_file_writer(str(tmp_path))
    parameters = {"i": np.int64(3), "f": np.float32(0.5), "flag": True, "none": None, "list": [1, 2], "path": tmp_path}
    add_candidate(
        writer, parameters, {"nan": math.nan, "inf": -math.inf, "np": np.float64(2), "e": Estimate(1, 0, 2, 5)}
    )
    writer.close()
    (candidate,) = read(tmp_path)
    assert candidate["parameters"] == {
        "i": 3, "f": 0.5, "flag": True, "none": None, "list": [1, 2], "path": str(tmp_path)
    }  # fmt: skip
    means = {name: records.number(values[0]) for name, values in candidate["metrics"].items()}
    assert math.isnan(means["nan"])
    assert means["inf"] == -math.inf
    assert candidate["metrics"]["e"] == [1, 0, 2, 5]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", 'a"b', "🚗 ρ=½", "../../etc/passwd", "a/b\\c", "\ud800x", "x" * 3000]
)
def test_any_name(name: str, tmp_path: Path) -> None:
    writer = event_file_writer(str(tmp_path))
    add_candidate(writer, {name: name}, {name: 1.0}, name=name)
    writer.close()
    (candidate,) = read(tmp_path)
    expected = name.encode("utf-8", "replace").decode()
    assert candidate["name"] == expected
    assert candidate["parameters"] == {expected: expected}


def test_the_same_candidate_again_replaces_it_and_names_do_not_depend_on_the_process(tmp_path: Path) -> None:
    writer = event_file_writer(str(tmp_path))
    first = add_candidate(writer, {"a": 1}, {"m": 1.0}, status="running")
    second = add_candidate(writer, {"a": 1}, {"m": 2.0})
    other = add_candidate(writer, {"a": 2}, {"m": 2.0})
    writer.close()
    assert first == second == "candidate-caa68f15"
    assert other != first
    found = {c["name"]: (c["status"], c["metrics"]["m"][0]) for c in read(tmp_path)}
    assert found == {first: ("finished", 2.0), other: ("finished", 2.0)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"status": "done"}, "status 'done'"),
        ({"name": ""}, "must not be empty"),
        ({"metrics": {"m": "much"}}, "metric m is 'much'"),
        ({"metrics": {"m": (1, 2)}}, "metric m has 2 values"),
    ],
)
def test_bad_calls_say_what_is_wrong(call: dict[str, Any], message: str, tmp_path: Path) -> None:
    writer = event_file_writer(str(tmp_path))
    with pytest.raises(ValueError, match=message):
        add_candidate(writer, {}, **{"metrics": {"m": 1.0}, **call})
    with pytest.raises(ValueError, match="must be min or max"):
        add_setup(writer, directions={"m": "up"})
    writer.close()


def test_protocols_are_told_apart_by_content() -> None:
    a = protocol_record({"fps": 8, "clips": 24})
    b = protocol_record({"clips": 24, "fps": 8})
    assert a is not None and a == b
    assert protocol_record({"fps": 9, "clips": 24}) != a
    assert protocol_record("abc") == {"hash": "abc", "fields": {}}
    assert protocol_record({"hash": "h", "fields": {"fps": 8}}) == {"hash": "h", "fields": {"fps": 8}}
    assert protocol_record(None) is None


def test_intervals_without_bounds() -> None:
    values = interval("m", (1.0, None, None))
    assert values[0] == 1.0 and math.isnan(values[1]) and math.isnan(values[2]) and values[3] is None


def test_videos_must_be_frames(tmp_path: Path) -> None:
    writer = event_file_writer(str(tmp_path))
    for frames in (np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)):
        with pytest.raises(ValueError, match="must be"):
            add_video(writer, "c", "clip", frames, fps=8)
    with pytest.raises(ValueError, match="give fewer or smaller frames"):
        add_video(writer, "c", "clip", np.zeros((1, 2, 9000, 3), np.uint8), fps=8)
    writer.close()
