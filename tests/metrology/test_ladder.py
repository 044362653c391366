"""Metrics of dynamics cannot be won: no cheat beats the real video, and primary metrics see motion before looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.metrology.cheats import CHEATS, LOOKS, Trial
from tests.metrology.ladder import Figures, dynamics, markdown, run
from tests.metrology.trials import FRAMES, paths, recording_trials, world_trials

from drivereplay.evaluation.metric import PRIMARY_AUC, metric

pytestmark = pytest.mark.metrology
TABLES = Path(__file__).parents[2] / "build" / "metrology"
"""Where the tables for the docs are left."""


def _ladder(trials: Sequence[Trial], names: Sequence[str], table: str) -> list[Figures]:
    figures = run(trials, names)
    TABLES.mkdir(parents=True, exist_ok=True)
    (TABLES / table).write_text(markdown(figures, trials), encoding="utf-8")
    return figures


def _primary(figures: Sequence[Figures]) -> dict[str, float]:
    return {one.name: one.auc() for one in figures if metric(one.name).primary}


def _worst(figures: Sequence[Figures]) -> dict[str, str]:
    """Metrics of which a blank video is not the worst version."""
    found = {}
    for one in figures:
        if one.family == "motion" or metric(one.name).one_sided:
            continue
        means = {name: one.sign * np.nanmean(values) for name, values in one.versions.items()}
        worst = max(means, key=lambda name: means[name])
        if means["all grey"] < means["real"]:
            found[one.name] = worst
    return found


def test_the_ladder_on_worlds(tmp_path: Path) -> None:
    figures = _ladder(world_trials(tmp_path, 1), dynamics(), "ladder-worlds.md")
    assert {one.name: one.winners() for one in figures if one.winners()} == {}
    assert {name: auc for name, auc in _primary(figures).items() if auc < PRIMARY_AUC} == {}
    assert _worst(figures) == {}
    assert all(len(one.versions) == 1 + len(LOOKS) + len(CHEATS) for one in figures)


@pytest.mark.skipif(
    not list(paths(["replay/street/vtest.avi"])), reason="the recordings in ../shared/data are not there"
)
def test_the_ladder_on_recordings(tmp_path: Path) -> None:
    trials = [t for t in recording_trials(tmp_path, 2) if len(t.clip.frames) == FRAMES]
    figures = _ladder(trials, [n for n in dynamics() if "poses" not in metric(n).needs], "ladder-recordings.md")
    assert {one.name: one.winners() for one in figures if one.winners()} == {}
    primary = _primary(figures)
    assert {name: auc for name, auc in primary.items() if auc < PRIMARY_AUC} == {}
    assert {name.split(".")[0] for name in primary} == {"agents", "ego"}
