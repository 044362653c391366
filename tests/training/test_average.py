"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from drivereplay.training.average import Average


def test_it_is_the_exponential_mean_of_what_was_seen() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    average = Average({"weight": weight}, 0.75)
    expected = weight.detach().clone()
    for step in range(5):
        with torch.no_grad():
            weight += step
        average.update()
        expected = 0.75 * expected + 0.25 * weight.detach()
    torch.testing.assert_close(average.tensors["weight"], expected)


def test_the_models_own_weights_come_back_even_after_an_error() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    average = Average({"weight": weight}, 0.5)
    with torch.no_grad():
        weight.fill_(9.0)
    with pytest.raises(RuntimeError, match="evaluation failed"), average.swapped_in():
        assert weight.item() == 1.0
        raise RuntimeError("evaluation failed")
    assert weight.item() == 9.0
