"""Checkpoints: bit-exact resume, nothing half-written taken for good, nothing pickled, read by diffusers alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.errors import ModelError, TrainingError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import (
    DamagedCheckpoint,
    checkpoints,
    clear,
    read_extra,
    restore,
    save_checkpoint,
)
from drivereplay.training.loop import fine_tune, new_state
from drivereplay.training.run import begin


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("stop_at", [0, 1, 3, 5])
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(tmp_path: Path, stop_at: int, ema: float | None) -> None:
    spec = small_spec(training={**small_spec().training.model_dump(mode="json"), "ema": ema})
    whole = fine_tune(load_model(spec), memory_batches(spec), spec)
    model = load_model(spec)
    half = fine_tune(model, memory_batches(spec, 0, stop_at), spec, state=new_state(model, spec))
    save_checkpoint(Storage.of(tmp_path), half, {"note": 7})

    again = new_state(load_model(spec), spec)
    found = checkpoints(Storage.of(tmp_path))[-1]
    assert restore(again, found) == read_extra(found) == {"note": 7}
    assert again.step == stop_at
    fine_tune(again.model, memory_batches(spec, stop_at), spec, state=again)
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, again.parameters[name]), name
    if whole.average is not None and again.average is not None:
        assert all(torch.equal(t, again.average.tensors[n]) for n, t in whole.average.tensors.items())


def saved_run(tmp_path: Path, **training) -> tuple[Storage, object]:
    spec = small_spec(training={"steps": 2, "batch_size": 4, **training})
    state = fine_tune(load_model(spec), memory_batches(spec), spec)
    save_checkpoint(Storage.of(tmp_path), state, {})
    return Storage.of(tmp_path), state


def test_the_averaged_weights_are_what_is_saved_for_others(tmp_path: Path) -> None:
    storage, state = saved_run(tmp_path, ema=0.5)
    loaded = dict(load_checkpoint(checkpoints(storage)[0].storage.root).module.named_parameters())
    for name, tensor in state.average.tensors.items():
        assert torch.equal(loaded[name], tensor)
        assert not torch.equal(loaded[name], state.parameters[name]) or loaded[name].std() == 0


def test_diffusers_reads_a_checkpoint_without_this_package(tmp_path: Path) -> None:
    from diffusers import UniPCMultistepScheduler, WanTransformer3DModel

    storage, state = saved_run(tmp_path)
    directory = checkpoints(storage)[0].storage.root
    module = WanTransformer3DModel.from_pretrained(directory, subfolder="transformer")
    assert all(torch.equal(p, state.parameters[n]) for n, p in module.named_parameters())
    assert UniPCMultistepScheduler.from_pretrained(directory, subfolder="scheduler").config.flow_shift == 3.0


def test_nothing_is_pickled(tmp_path: Path) -> None:
    storage, _ = saved_run(tmp_path)
    kinds = {p.suffix for p in Path(storage.root).rglob("*") if p.is_file()}
    assert kinds == {".safetensors", ".json"}


@pytest.mark.parametrize("damage", ["no manifest", "file gone", "file cut", "manifest cut"])
def test_a_half_written_checkpoint_is_never_taken_for_a_good_one(tmp_path: Path, damage: str) -> None:
    storage, state = saved_run(tmp_path)
    state.step = 4
    directory = Path(save_checkpoint(storage, state, {}).storage.root)
    assert [c.step for c in checkpoints(storage)] == [2, 4]
    weights = next(directory.glob("transformer/*.safetensors"))
    if damage == "no manifest":
        (directory / "manifest.json").unlink()
    elif damage == "file gone":
        weights.unlink()
    elif damage == "file cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (directory / "manifest.json").write_text((directory / "manifest.json").read_text()[:40])
    assert [c.step for c in checkpoints(storage)] == [2]
    save_checkpoint(storage, state, {})
    assert [c.step for c in checkpoints(storage)] == [2, 4]


def flip_a_bit(path: Path, position: float) -> None:
    """Change one bit; the file's length stays."""
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 1))] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("position", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("file", ["training/state.safetensors", "transformer/*.safetensors", "training/state.json"])
def test_one_bit_that_changed_is_found_and_the_checkpoint_before_is_taken(
    tmp_path: Path, file: str, position: float, caplog: pytest.LogCaptureFixture
) -> None:
    spec = small_spec(training={"steps": 2, "batch_size": 4})
    storage, state = saved_run(tmp_path)
    weights = {name: parameter.clone() for name, parameter in state.parameters.items()}
    state.step = 4
    with torch.no_grad():
        next(iter(state.parameters.values())).add_(1.0)
    directory = Path(save_checkpoint(storage, state, {}).storage.root)
    damaged = next(directory.glob(file))
    flip_a_bit(damaged, position)
    with pytest.raises(ModelError, match=f"{damaged.name} is damaged"):
        load_checkpoint(directory)
    with pytest.raises(DamagedCheckpoint, match=damaged.name):
        restore(new_state(load_model(spec), spec), checkpoints(storage)[-1])

    again, _ = begin(load_model(spec), spec, storage)
    assert again.step == 2
    assert all(torch.equal(parameter, weights[name]) for name, parameter in again.parameters.items())
    assert damaged.name in caplog.text
    # it is out of the way, and can be looked at
    assert [c.step for c in checkpoints(storage)] == [2]
    clear(storage, everything=False)
    assert (directory.with_name(f"{directory.name}.damaged") / damaged.relative_to(directory)).is_file()


def test_a_run_whose_checkpoints_are_all_damaged_begins_anew(tmp_path: Path) -> None:
    spec = small_spec(training={"steps": 2, "batch_size": 4})
    storage, _ = saved_run(tmp_path)
    flip_a_bit(Path(checkpoints(storage)[0].storage.root) / "training" / "state.safetensors", 0.9)
    again, extra = begin(load_model(spec), spec, storage)
    assert again.step == 0 and not extra


def test_checkpoints_without_hashes_are_read_still(tmp_path: Path) -> None:
    """As versions before 0.2 wrote their manifests: names and sizes."""
    spec = small_spec(training={"steps": 2, "batch_size": 4})
    storage, _ = saved_run(tmp_path)
    manifest = Path(checkpoints(storage)[0].storage.root) / "manifest.json"
    files = json.loads(manifest.read_text())["files"]
    manifest.write_text(json.dumps({"files": {name: entry["bytes"] for name, entry in files.items()}}))
    again, _ = begin(load_model(spec), spec, storage)
    assert again.step == 2


def test_what_a_killed_writer_left_is_not_seen(tmp_path: Path) -> None:
    storage, _ = saved_run(tmp_path)
    left = tmp_path / "checkpoints" / ".writing-abc"
    left.mkdir()
    (left / "manifest.json").write_text(json.dumps({"files": {}}))
    assert [c.step for c in checkpoints(storage)] == [2]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    storage, _ = saved_run(tmp_path)
    other = small_spec(model={"config": {**small_spec().model.config, "ffn_dim": 64}})
    with pytest.raises(TrainingError, match="no fitting tensor weights"):
        restore(new_state(load_model(other), other), checkpoints(storage)[0])


def test_storage_that_stays_away_ends_the_run_clearly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drivereplay.training import checkpoint as module

    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    storage, state = saved_run(tmp_path / "run")
    failures = iter([True, True, False])
    publish = module._publish

    def flaky(*args) -> None:
        if next(failures, False):
            raise OSError("the server is away")
        publish(*args)

    state.step = 4
    monkeypatch.setattr(module, "_publish", flaky)
    save_checkpoint(storage, state, {})
    assert [c.step for c in checkpoints(storage)] == [2, 4] and waits == [0.2, 0.8]

    failures = iter([True] * 9)
    state.step = 6
    with pytest.raises(TrainingError, match="failed 5 times: the server is away") as caught:
        save_checkpoint(storage, state, {})
    assert "--resume" in caught.value.fix
    assert [c.step for c in checkpoints(storage)] == [2, 4]
