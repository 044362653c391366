"""The lines of a running sweep."""

from __future__ import annotations

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
    # which trial ends last is not fixed: several run at a time
    assert "t0001@-1: failed, The clip a/b is broken. Remove it." in lines
    counted = [x for x in lines if "hypervolume" in x]
    assert counted and all("left" in x or "6/6" in x for x in counted)
