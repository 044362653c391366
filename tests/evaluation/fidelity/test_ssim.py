from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.evaluation.clips import texture
from torchmetrics.functional.image import structural_similarity_index_measure

from drivereplay.evaluation.fidelity.ssim import ssim


def test_it_is_torchmetrics_s() -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        a = texture(rng, 40, 56)
        b = np.clip(a + rng.normal(0, 20, a.shape), 0, 255).astype(np.uint8)
        pair = [torch.from_numpy(x).permute(2, 0, 1)[None].double() for x in (a, b)]
        theirs = structural_similarity_index_measure(*pair, data_range=255.0, sigma=1.5, kernel_size=11)
        assert ssim(a, b) == pytest.approx(float(theirs), abs=1e-4)


def test_the_ends_of_the_scale() -> None:
    a = texture(np.random.default_rng(1), 16, 16)
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, 255 - a) < 0.2
    assert np.isfinite(ssim(np.zeros((6, 6, 3), np.uint8), np.zeros((6, 6, 3), np.uint8)))
