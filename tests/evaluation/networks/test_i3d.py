from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.networks.goldens import needs

from drivereplay.evaluation.frechet import frechet_distance
from drivereplay.evaluation.networks.i3d import EPSILON, I3D, _padded_same


def test_padding_is_tensorflow_s() -> None:
    x = torch.ones(1, 1, 5, 6, 7)
    assert _padded_same(x, (7, 7, 7), (2, 2, 2)).shape[2:] == (11, 11, 13)
    assert _padded_same(x, (1, 3, 3), (1, 2, 2)).shape[2:] == (5, 7, 9)
    # an even size at stride 2 gets its one pixel at the end
    assert _padded_same(x, (1, 3, 3), (1, 2, 2))[0, 0, 0, :, 3].tolist() == [1.0] * 6 + [0.0]


def test_it_has_the_published_size() -> None:
    network = I3D()
    kernels = sum(p.numel() for n, p in network.named_parameters() if "conv" in n)
    assert 12_200_000 < kernels < 12_400_000 and EPSILON == 1e-3
    assert network.layers["Conv3d_1a_7x7"].norm.eps == 1e-3  # type: ignore[union-attr]


@pytest.mark.slow
def test_golden_zeros_against_ones() -> None:
    """8 × 30 × 3 × 64 × 64, all black against all white: 151.39244 in the TensorFlow original."""
    needs("i3d")
    from drivereplay.evaluation.fidelity.fvd import _network

    with torch.inference_mode():
        black, white = (
            np.repeat(_network().features(torch.full((1, 30, 64, 64, 3), v, dtype=torch.uint8)).double().numpy(), 8, 0)
            for v in (0, 255)
        )
    assert frechet_distance(black, white) == pytest.approx(151.392, abs=0.01)
