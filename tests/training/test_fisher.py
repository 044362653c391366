"""EWC's Fisher information: from replay samples, refused where there are none, kept with the checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.errors import SpecError
from drivereplay.models import load_model
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import restore, save_checkpoint
from drivereplay.training.fisher import estimate_fisher, replay_batches
from drivereplay.training.loop import new_state

TRAINING = {"steps": 2, "batch_size": 4, "retention": {"ewc": 1.0, "ewc_samples": 4}}


def test_it_needs_replay_domains() -> None:
    spec = small_spec(replay={"frequency": 0.0, "domains": []}, training=TRAINING)
    with pytest.raises(SpecError, match=r"ewc needs replay samples") as caught:
        next(replay_batches(spec, []))
    assert caught.value.exit_code == 2


def test_it_is_kept_with_the_checkpoint(tmp_path: Path) -> None:
    spec = small_spec(training=TRAINING)
    state = new_state(load_model(spec), spec)
    assert all(not f.any() for f in state.fisher.values())
    estimate_fisher(state, memory_batches(spec, 0, 1), spec)
    assert any(f.any() for f in state.fisher.values()) and all((f >= 0).all() for f in state.fisher.values())
    assert all(p.grad is None for p in state.parameters.values())
    found = save_checkpoint(Storage.of(tmp_path), state, {})
    again = new_state(load_model(spec), spec)
    restore(again, found)
    assert all(torch.equal(f, again.fisher[name]) for name, f in state.fisher.items())
