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
    assert len(lines) == 7
    assert "frequency=0.25 weights=0.333/0.333/0.333 | loss.looks" in next(x for x in lines if x.startswith("equal@30"))
    failed = lines.index("t0001@-1: failed, The clip a/b is broken. Remove it.")
    # several run at a time, so which one fails when is not fixed; every line counts all that have ended before it
    counts = [int(found[1]) for line in lines[1:] if (found := re.search(r" (\d)/6(?:, about \d+ s left)?$", line))]
    assert counts == [n for n in range(1, 7) if n != failed]
    assert all(("left" in line) == ("6/6" not in line) for n, line in enumerate(lines[1:], 1) if n != failed)
    # the reference point rests on base and naive, which are asked for first
    assert "hypervolume" in lines[-1] or failed == 6
