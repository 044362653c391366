from __future__ import annotations

import numpy as np
import pytest
from tests.evaluation.clips import make_clip

from drivereplay.evaluation import features
from drivereplay.evaluation.features import WorldsEncoder
from drivereplay.evaluation.fidelity.fvd_worlds import FvdWorlds, KvdWorlds
from drivereplay.evaluation.footage import Footage


def test_features_come_from_the_future_frames_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = WorldsEncoder().eval().requires_grad_(False)
    monkeypatch.setattr(features, "shipped_encoder", lambda: encoder)
    videos = [Footage.of(make_clip(n)) for n in range(3)]
    rows = FvdWorlds().features(videos)
    assert rows.shape == (3, 1, 64) and "worlds_features" in videos[0].estimates
    np.testing.assert_array_equal(KvdWorlds().features(videos), rows)
    black = videos[0].frames.copy()
    black[:2] = 0
    np.testing.assert_allclose(FvdWorlds().features([videos[0].with_frames(black)])[0], rows[0], atol=1e-5)


def test_it_is_never_the_same_protocol_without_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "shipped_sha256", lambda: "ab")
    assert FvdWorlds().protocol()["weights"] == {"worlds-encoder": "ab"} and FvdWorlds().unavailable() is None
    monkeypatch.setattr(features, "shipped_sha256", lambda: None)
    assert "missing" in str(FvdWorlds().unavailable())
