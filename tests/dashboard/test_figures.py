"""The picture of a front."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.dashboard.helpers import candidates, front

from drivereplay.dashboard.figures import front_figure, front_pixels, save_front
from drivereplay.errors import SpecError
from drivereplay.search.attainment import bootstrap_attainment


def test_all_candidates_front_anchors_knee_and_reference_are_drawn() -> None:
    found = front(candidates())
    figure = front_figure(found, title="small")
    axis = figure.axes[0]
    drawn = {s.get_label(): len(s.get_offsets()) for s in axis.collections if s.get_label()[:1] != "_"}
    assert drawn["front"] == len(found.front)
    assert drawn["dominated"] == 9 - len(found.front)
    assert drawn["knee"] == drawn["reference point"] == 1
    texts = {text.get_text() for text in axis.texts}
    assert texts == {"base, untrained", "naive, ρ = 0", "replay only, ρ = 1", "equal weights"}
    assert "better" in axis.get_xlabel() and axis.get_xlabel().startswith("fidelity.psnr")
    assert "small" in figure.get_suptitle() and "hypervolume" in figure.get_suptitle()


def test_three_objectives_get_a_panel_for_each_pair() -> None:
    found = front(candidates(), ("fidelity.psnr", "agents.ade", "ego.ate"), ("max", "min", "min"))
    figure = front_figure(found)
    assert [axis.get_xlabel().split()[0] for axis in figure.axes[:3]] == [
        "fidelity.psnr",
        "fidelity.psnr",
        "agents.ade",
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_a_front_with_nothing_or_one_candidate(count: int) -> None:
    pixels = front_pixels(front(candidates()[:count]))
    assert pixels.ndim == 3 and pixels.dtype == np.uint8 and pixels.std() > 1


def test_no_searched_frequency_gives_one_colour() -> None:
    plain = [replace(c, parameters={"learning_rate": 1e-3}) for c in candidates()]
    assert len(front_figure(front(plain)).axes) == 1


def test_attainment_surfaces_are_drawn_on_demand_where_there_are_intervals() -> None:
    found = front(candidates())
    plain, with_surfaces = front_figure(found).axes[0], front_figure(found, surfaces=True).axes[0]
    names = {"median attainment", "attained by 25 % to 75 % of draws"}
    assert not names & set(plain.get_legend_handles_labels()[1])
    assert names <= set(with_surfaces.get_legend_handles_labels()[1])
    assert (plain.get_xlim(), plain.get_ylim()) == (with_surfaces.get_xlim(), with_surfaces.get_ylim())
    (median,) = [line for line in with_surfaces.lines if line.get_label() == "median attainment"]
    quarter, middle, _ = bootstrap_attainment(found)
    drawn = median.get_xydata()
    assert {tuple(point) for point in middle} <= {tuple(point) for point in drawn}
    # it ends at the worst edge of each axis: low for what is maximised, high for what is minimised
    assert drawn[0][1] == plain.get_ylim()[1] and drawn[-1][0] == plain.get_xlim()[0]
    (band,) = [p for p in with_surfaces.patches if p.get_label() == "attained by 25 % to 75 % of draws"]
    assert {tuple(point) for point in quarter} <= {tuple(point) for point in band.get_xy()}
    exact = [replace(c, metrics={n: replace(e, low=e.mean, high=e.mean) for n, e in c.metrics.items()})
             for c in candidates()]  # fmt: skip
    assert not names & set(front_figure(front(exact), surfaces=True).axes[0].get_legend_handles_labels()[1])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / "deep" / f"front{suffix}"
    save_front(front(candidates()), file)
    assert file.stat().st_size > 5000
    if suffix == ".png":
        assert Image.open(file).size[0] > 600


def test_a_file_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be written as"):
        save_front(front(candidates()), tmp_path / "front.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot be written"):
        save_front(front(candidates()), tmp_path / "file" / "front.png")
