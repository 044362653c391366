"""The tab on runs of DriveReplay's own, against the `front.json` that lies beside their event files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dashboard.helpers import DIRECTIONS, OBJECTIVES, candidates, spec
from tests.dashboards.helpers import Tab

from drivereplay.dashboard import figures
from drivereplay.dashboard.board import SweepBoard
from drivereplay.evaluation.report import Estimate
from drivereplay.search.candidates import Candidate
from drivereplay.search.constraints import Limit
from drivereplay.search.front import front_of, reference_of
from drivereplay.storage import Storage


def require_same_front(tab: Tab, run: Path) -> dict[str, Any]:
    """What the page shows is what the search found."""
    told: dict[str, Any] = json.loads((run / "front.json").read_text(encoding="utf-8"))
    names = [candidate["name"] for candidate in told["front"]]
    assert tab.front() == names
    assert {point.get_attribute("data-candidate") for point in tab.all(".points .point")} == set(names)
    assert tab.one("[data-role=front] tr:has(.knee)").get_attribute("data-candidate") == told["knee"]["name"]
    shown = float(tab.one("[data-role=hypervolume]").get_attribute("data-value"))
    assert shown == pytest.approx(told["hypervolume"], rel=1e-9)
    assert tab.errors() == []
    return told


def with_seeds(found: list[Candidate]) -> list[Candidate]:
    """Each of the last three settings once more with a worse seed, so that their means lie elsewhere."""
    again = []
    for one in found[-3:]:
        worse = {n: Estimate(e.mean - 1.0, e.low - 1.0, e.high - 1.0, e.n) for n, e in one.metrics.items()}
        metrics = {**one.metrics, "fidelity.psnr": worse["fidelity.psnr"]}
        again.append(
            replace(one, trial=f"{one.trial}-s1", seed=1, kind="replicate", setting=one.trial, metrics=metrics)
        )
    return [*(replace(one, setting=one.trial) for one in found), *again]


def test_a_sweep_with_seeds_and_a_constraint(
    browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "front_pixels", lambda *_, **__: np.zeros((8, 8, 3), np.uint8))  # 0.5 s each
    directory, found = Storage.of(tmp_path / "small"), with_seeds(candidates())
    # the base comes last but one: what others may do is known only then
    order = [*found[1:9], found[0], *found[9:]]
    limits = (Limit("ego.ate", "min", 0.3),)
    board = SweepBoard()
    board.started(spec(tmp_path), directory)
    for count, candidate in enumerate(order, start=1):
        reference = reference_of(order[:count], OBJECTIVES, DIRECTIONS)
        front = front_of(order[:count], OBJECTIVES, DIRECTIONS, reference, limits)
        board.candidate_evaluated(candidate, None)
        board.trial_ended([candidate], front)
    board.ended(front)
    front.save(directory)
    tab = Tab(browser, tensorboard(tmp_path / "small")).open(count=len(found))
    told = require_same_front(tab, tmp_path / "small")
    assert "infeasible" in tab.one("[data-role=aside]").text
    lucky = "t0009@60"
    assert lucky not in {candidate["name"] for candidate in told["front"]}
    assert lucky in Tab(browser, tab.url).open("pareto&p.pareto.seeds=each", count=len(found)).front()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quickstarts_run(browser: Any, tmp_path: Path, tensorboard: Callable[[Path], str]) -> None:
    from drivereplay import api
    from drivereplay.spec import load_spec

    small = ["training.steps=4", "evaluation.clips=6", "search.trials=2", f"storage={tmp_path}"]
    api.sweep(load_spec(api.QUICKSTART, small))
    run = tmp_path / "quickstart"
    tab = Tab(browser, tensorboard(run)).open(framed=True)
    told = require_same_front(tab, run)
    tab.js("document.querySelector('[data-role=front] tbody tr').click()")
    tab.until("return document.querySelectorAll('.screens canvas').length === 2")
    assert tab.one("[data-role=candidate]").text == told["front"][0]["name"]
    label = "[...document.querySelectorAll('.videos .check')].find((one) => one.textContent.includes('tracks'))"
    assert not tab.js(f"return {label}.hidden"), "the highway's objects have tracks"
    tab.until("return document.querySelectorAll('.chart').length > 0 || arguments[0]", told["front"][0]["step"] == 0)
