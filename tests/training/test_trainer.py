"""`train` on real videos through a real Ray: local mode, events, resume."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from drivereplay.errors import ModelError, SpecError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.spec import Spec, with_values
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints
from drivereplay.training.curve import read_curve
from drivereplay.training.ledger import read_ledger
from drivereplay.training.trainer import CheckpointEvent, StopTraining, check_place, choose_device, set_threads, train

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., Spec]


def weights(checkpoint: Storage) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in load_checkpoint(checkpoint.root).module.named_parameters()}


def same(one: Storage, other: Storage) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_leaves_checkpoints_ledger_and_curve_and_tells_of_them(filmed_spec: Make, tmp_path: Path) -> None:
    spec = filmed_spec()
    directory = Storage.of(tmp_path / "run")
    events: list[CheckpointEvent] = []
    seen: list[bool] = []

    def on_checkpoint(event: CheckpointEvent) -> None:
        events.append(event)
        saved = weights(event.directory)
        seen.append(all(torch.equal(p, saved[n]) for n, p in event.model.module.named_parameters()))
        torch.rand(3)  # evaluation that draws random numbers does not move training

    result = train(spec, directory, on_checkpoint=on_checkpoint, show_progress=False)
    assert [e.step for e in events] == [c.step for c in result.checkpoints] == [2, 4, 6] and all(seen)
    assert result.step == 6 and not result.stopped
    assert result.first_step_s is not None and 0 < result.first_step_s < result.seconds
    assert set(result.metrics) >= {"loss", "loss/driving", "loss/street", "samples_per_second", "seconds"}
    assert sorted(directory.names()) == ["checkpoints", "curve.parquet", "ledger.parquet"]
    ledger = read_ledger(directory).to_pylist()
    assert sorted(row["sample"] for row in ledger) == list(range(48))
    assert [(row["step"], row["slot"]) for row in ledger] == [(step, slot) for step in range(6) for slot in range(8)]
    assert {row["domain"]: row["key"].endswith(".mp4") for row in ledger} == {"driving": True, "street": True}
    for step in range(6):
        assert sum(row["domain"] == "street" for row in ledger if row["step"] == step) == 4
    assert [p.step for p in read_curve(directory)] == list(range(6))


def test_a_run_that_was_stopped_goes_on_bit_for_bit(filmed_spec: Make, tmp_path: Path) -> None:
    spec = filmed_spec()
    whole, broken = Storage.of(tmp_path / "whole"), Storage.of(tmp_path / "broken")
    train(spec, whole, show_progress=False)

    def die(event: CheckpointEvent) -> None:
        if event.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(spec, broken, on_checkpoint=die, show_progress=False)
    told: list[int] = []
    result = train(spec, broken, resume=True, on_checkpoint=lambda e: told.append(e.step), show_progress=False)
    assert told == [4, 6]  # what was interrupted may have been the evaluation of step 4
    assert result.step == 6
    assert read_ledger(broken).equals(read_ledger(whole))
    assert [p.loss for p in read_curve(broken)] == [p.loss for p in read_curve(whole)]
    assert same(checkpoints(broken)[-1].storage, checkpoints(whole)[-1].storage)


def test_a_model_is_gone_as_soon_as_its_run_has_ended(filmed_spec: Make, tmp_path: Path) -> None:
    """Python looks for cycles only now and then; until then each trial of a process would hold another model."""
    held: list[weakref.ref[torch.nn.Module]] = []
    gc.disable()
    try:
        train(
            filmed_spec(), Storage.of(tmp_path), on_checkpoint=lambda e: held.append(weakref.ref(e.model.module)),
            show_progress=False,
        )  # fmt: skip
        assert held and all(module() is None for module in held)
    finally:
        gc.enable()


def test_stopping_early_is_no_failure(filmed_spec: Make, tmp_path: Path) -> None:
    def stop(event: CheckpointEvent) -> None:
        raise StopTraining

    base = load_model(filmed_spec())
    before = [p.detach().clone() for p in base.module.parameters()]
    result = train(filmed_spec(), Storage.of(tmp_path), on_checkpoint=stop, base_model=base, show_progress=False)
    assert result.stopped and result.step == 2
    assert read_ledger(Storage.of(tmp_path)).num_rows == 16
    assert all(torch.equal(a, b) for a, b in zip(before, base.module.parameters(), strict=True))


def test_no_steps_give_the_base_itself(filmed_spec: Make, tmp_path: Path) -> None:
    spec = filmed_spec(steps=0)
    events: list[int] = []
    result = train(spec, Storage.of(tmp_path), on_checkpoint=lambda e: events.append(e.step), show_progress=False)
    assert events == [0] and result.step == 0
    base = dict(load_model(spec).module.named_parameters())
    assert all(torch.equal(t, base[n]) for n, t in weights(result.checkpoints[0].storage).items())


def test_interpolations_are_told_of_as_further_candidates(filmed_spec: Make, tmp_path: Path) -> None:
    retention = {"wise_ft": [0.0, 0.5], "ewc": 1.0, "ewc_samples": 8}
    spec = filmed_spec(steps=2, ema=0.5, keep=1, retention=retention)
    events: dict[str, dict[str, torch.Tensor]] = {}

    def on_checkpoint(event: CheckpointEvent) -> None:
        saved = weights(event.directory)
        assert all(torch.equal(p, saved[n]) for n, p in event.model.module.named_parameters())
        events[event.variant] = saved

    result = train(spec, Storage.of(tmp_path), on_checkpoint=on_checkpoint, show_progress=False)
    assert list(events) == ["", "wise-ft-0.00", "wise-ft-0.50"]
    assert [c.step for c in result.checkpoints] == [2]  # none to go on from
    base = dict(load_model(spec).module.named_parameters())
    for name, tensor in events[""].items():
        torch.testing.assert_close(events["wise-ft-0.00"][name], base[name].detach())
        torch.testing.assert_close(events["wise-ft-0.50"][name], (base[name].detach() + tensor) / 2)


def test_only_the_newest_checkpoints_are_kept_where_asked(filmed_spec: Make, tmp_path: Path) -> None:
    result = train(filmed_spec(keep=2), Storage.of(tmp_path), show_progress=False)
    assert [c.step for c in result.checkpoints] == [4, 6]


def test_what_cannot_work_is_refused_before_anything_starts(filmed_spec: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no GPU can be used"):
        choose_device(filmed_spec(device="cuda"))
    with pytest.raises(
        SpecError,
        match="needs 16 workers with 1 CPUs each and 0.25 .* room for 3",
    ):
        train(filmed_spec(workers=16, batch_size=16), Storage.of(tmp_path), show_progress=False)
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="gpus_per_worker is 1, but no GPU"):
            check_place(with_values(filmed_spec(), {"resources.gpus_per_worker": 1}))
    assert Storage.of(tmp_path).names("checkpoints") == []


def test_processes_beside_each_other_may_share_the_cores(
    filmed_spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        set_threads(filmed_spec())
        assert torch.get_num_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "all")
        set_threads(filmed_spec())
        assert torch.get_num_threads() == os.cpu_count()
    finally:
        torch.set_num_threads(before)
