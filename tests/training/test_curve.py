"""The loss curve: means by domain and noise level, kept and cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from drivereplay.storage import Storage
from drivereplay.training.curve import CurvePoint, grouped, read_curve, write_curve
from drivereplay.training.group import Group


def test_means_are_of_the_samples_they_name() -> None:
    losses = torch.tensor([1.0, 2.0, 4.0, 9.0])
    uniforms = torch.tensor([0.0, 0.19, 0.2, 0.999])
    mean, domains, levels = grouped(losses, uniforms, np.array([0, 1, 1, 0]), ["driving", "street", "unused"], Group())
    assert mean == pytest.approx(4.0)
    assert domains == {"driving": 5.0, "street": 3.0}
    assert levels == {0: 1.5, 1: 4.0, 4: 9.0}


def test_a_curve_is_read_as_it_was_written_and_cut_where_a_run_goes_on(tmp_path: Path) -> None:
    directory = Storage.of(tmp_path)
    assert read_curve(directory) == []
    points = [CurvePoint(s, 1.0 / (s + 1), 1e-4, 0.5, {"driving": 0.1 * s}, {s % 5: 2.0}, 0.3, 0.1) for s in range(7)]
    write_curve(directory, points, ["driving", "street"])
    assert read_curve(directory) == points
    assert read_curve(directory, before=4) == points[:4]
