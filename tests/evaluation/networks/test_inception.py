from __future__ import annotations

import torch

from drivereplay.evaluation.networks.inception import FEATURES, Inception


def test_shape_and_size() -> None:
    network = Inception().eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 20, 30, 3, dtype=torch.uint8)).shape == (1, FEATURES)
    kernels = sum(p.numel() for n, p in network.named_parameters() if "conv.weight" in n)
    assert 21_700_000 < kernels < 21_800_000
