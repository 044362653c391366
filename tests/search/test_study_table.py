"""Means over seeds, differences from no replay, and the tables made of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from drivereplay.search.study_table import (
    Effect,
    Setting,
    _lines,
    against_base,
    against_naive,
    differences,
    effects,
    figure,
    markdown,
)


def row(frequency: str, seed: int | None, mean: float | None, **changes: Any) -> dict[str, Any]:
    source = "-" if frequency == "0" else "worlds"
    levels = {"frequency": frequency, "source": source, "target": "town"}
    plain = {"levels": levels, "seed": seed, "budget": "equal-steps", "split": "regular", "reference": ""}
    return {**plain, "metric": "agents.ade", "mean": mean, **changes}


ROWS = [
    *[row("0", seed, value) for seed, value in enumerate((1.0, 2.0, 3.0))],
    *[row("0.25", seed, value) for seed, value in enumerate((0.5, 1.4, 2.6))],
    row("0", None, 0.7, budget="base", levels={"target": "town"}),
    row("0", None, 0.9, budget="base", levels={"target": "town"}, reference="frozen"),
]


def setting(frequency: str) -> Setting:
    levels = (("frequency", frequency), ("source", "-" if frequency == "0" else "worlds"), ("target", "town"))
    return Setting(levels, "equal-steps", "regular")


def test_intervals_are_students_over_seeds() -> None:
    effect = effects(ROWS, "agents.ade")[setting("0")]
    assert effect.mean == pytest.approx(2.0)
    # t(0.975, 2) = 4.3027; s = 1
    assert effect.half == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    assert effect.n == 3


def test_differences_are_paired_by_seed() -> None:
    found = against_naive(ROWS, "agents.ade")
    assert set(found) == {setting("0.25")}
    assert found[setting("0.25")].mean == pytest.approx(-0.5)
    assert found[setting("0.25")].half == pytest.approx(4.3027 * 0.1 / math.sqrt(3), rel=1e-3)


def test_plain_fine_tuning_is_compared_with_its_base() -> None:
    found = against_base(ROWS, "agents.ade")
    assert set(found) == {setting("0")}
    assert found[setting("0")].mean == pytest.approx(2.0 - 0.7)
    assert against_base(ROWS[:6], "agents.ade") == {}


def test_differences_have_a_star_where_the_interval_leaves_out_zero() -> None:
    lines = differences(ROWS).splitlines()
    assert "| town | no replay − base | equal-steps | +1.3 ± 2.5 | 3 |" in lines
    assert "| town | ρ = 0.25 worlds − no replay | equal-steps | -0.5 ± 0.25* | 3 |" in lines
    assert lines.index("| town | no replay − base | equal-steps | +1.3 ± 2.5 | 3 |") == 4


def test_one_seed_has_no_interval_and_nothing_is_a_dash() -> None:
    assert str(Effect.of([2.0])) == "2"
    assert math.isnan(Effect.of([2.0]).half)
    assert str(Effect.of([])) == "–"
    assert Effect.of([1.0, float("nan")]).n == 1


def test_a_table_holds_runs_base_and_reference_rows() -> None:
    text = markdown(ROWS)
    assert "| target | source | frequency | budget | agents.ade | seeds |" in text
    assert "| town | - | 0 | equal-steps | 2 ± 2.5 | 3 |" in text
    assert "| town |  |  | base | 0.7 | 1 |" in text
    assert "| town |  |  | frozen | 0.9 | 1 |" in text


def test_a_metric_without_figures_is_left_out() -> None:
    assert effects([row("0", 0, None)], "agents.ade") == {}


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    other = [{**r, "metric": "fidelity.psnr"} for r in ROWS]
    figure([*ROWS, *other], tmp_path / "figure.png", ("fidelity.psnr", "agents.ade"))
    figure(ROWS[:3], tmp_path / "alone.png", ("agents.ade",))
    for name in ("figure.png", "alone.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_line_begins_without_replay_and_the_base_is_apart() -> None:
    table = list(effects(ROWS, "agents.ade"))
    lines = _lines(table[::-1])
    assert list(lines) == ["base", "worlds"]
    assert lines["worlds"] == [setting("0"), setting("0.25")]
    assert _lines([s for s in table if s != setting("0.25")])["no replay"] == [setting("0")]
