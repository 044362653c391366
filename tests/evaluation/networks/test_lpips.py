from __future__ import annotations

import pytest
import torch
from tests.evaluation.networks.goldens import needs

from drivereplay.evaluation.networks.lpips import Lpips


def test_equal_pictures_have_no_distance() -> None:
    network = Lpips().eval()
    picture = torch.rand(2, 3, 40, 40) * 2 - 1
    with torch.no_grad():
        assert network(picture, picture).tolist() == [0, 0]


def test_golden_zeros_against_ones() -> None:
    needs("lpips")
    from drivereplay.evaluation.fidelity.lpips import _network

    with torch.no_grad():
        distance = _network()(torch.full((1, 3, 64, 64), -1.0), torch.full((1, 3, 64, 64), 1.0))
    assert float(distance) == pytest.approx(0.8140, abs=0.0005)
