from __future__ import annotations

import pytest
from tests.evaluation.clips import make_clip
from tests.evaluation.networks.goldens import needs

from drivereplay.evaluation.fidelity.fid import Fid
from drivereplay.evaluation.footage import Footage


def test_its_protocol_pins_the_weights() -> None:
    assert len(Fid().protocol()["weights"]["inception"]) == 64


@pytest.mark.slow
def test_every_future_frame_is_a_sample() -> None:
    needs("inception")
    assert Fid().features([Footage.of(make_clip(0))]).shape == (1, 6, 2048)
