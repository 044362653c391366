"""The lines of a running sweep."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay.search.progress import Lines


def test_each_candidate_gets_a_line_with_what_matters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = experiment(tmp_path, trials=2)
    sweep_locally(spec, runner=Analytic({"t0001": "error"}), listeners=[Lines(spec, 4)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("sweep 'probe': 6 trials, results in ")
    # one for each evaluated candidate, one for each trial that has ended
    assert len(lines) == 1 + 5 + 6
    assert any("equal@30 frequency=0.25 weights=0.333/0.333/0.333 | loss.looks" in line for line in lines)
    ended = [line for line in lines if re.search(r" \d/6", line)]
    assert any(line.startswith("t0001@-1: failed, The clip a/b is broken. Remove it. | ") for line in ended)
    assert [int(re.findall(r" (\d)/6", line)[0]) for line in ended] == [1, 2, 3, 4, 5, 6]
    assert all(("left" in line) == ("6/6" not in line) for line in ended)
    # the reference point rests on base and naive, which are asked for first
    assert any("on the front | hypervolume" in line for line in ended)
