from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from drivereplay.errors import DataError
from drivereplay.evaluation.networks.yolo import YoloV4Tiny, _boxes, _suppressed, from_darknet


def _darknet(count: int) -> bytes:
    return struct.pack("<3iq", 0, 2, 5, 0) + np.linspace(0.01, 0.02, count, dtype="<f4").tobytes()


def test_a_darknet_file_fits_exactly_or_is_refused() -> None:
    right = sum(v.numel() for k, v in YoloV4Tiny().state_dict().items() if not k.endswith("num_batches_tracked"))
    state = from_darknet(_darknet(right))
    YoloV4Tiny().load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
    # biases come first, then scales, means, variances, kernels
    assert state["layers.stem_0.norm.bias"][0] < state["layers.stem_0.norm.weight"][0]
    assert state["layers.stem_0.norm.running_var"][-1] < state["layers.stem_0.conv.weight"].min()
    with pytest.raises(DataError, match="end too early"):
        from_darknet(_darknet(right - 1))
    with pytest.raises(DataError, match="too many"):
        from_darknet(_darknet(right + 1))


def test_a_cell_becomes_a_box() -> None:
    raw = torch.zeros(1, 255, 13, 13)
    raw = raw.view(1, 3, 85, 13, 13)
    raw[0, 1, 4, 6, 5] = 9.0
    raw[0, 1, 5 + 2, 6, 5] = 9.0
    rows = _boxes(raw.view(1, 255, 13, 13), ((81, 82), (135, 169), (344, 319)), 32)[0].numpy()
    [found] = _suppressed(rows, 0.6)
    np.testing.assert_allclose(
        found[:4], [5.5 * 32 - 67.5, 6.5 * 32 - 84.5, 5.5 * 32 + 67.5, 6.5 * 32 + 84.5], atol=1e-3
    )
    assert found[5] == 2 and found[4] > 0.99


def test_overlapping_boxes_are_one_thing() -> None:
    raw = np.zeros((3, 84), np.float32)
    raw[:, :4] = [[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10]]
    raw[0, 4 + 2], raw[1, 4 + 7], raw[2, 4 + 0] = 0.9, 0.8, 0.7
    found = _suppressed(raw, 0.5)
    assert found[:, 5].tolist() == [2, 0]
    assert _suppressed(raw, 0.95).shape == (0, 6)
