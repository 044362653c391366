"""What is trained: all, all but the frozen, or low-rank adapters; patterns that match nothing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.errors import ModelError
from drivereplay.models import load_checkpoint, load_model, lora
from drivereplay.training.adapters import prepare_parameters
from drivereplay.training.loop import fine_tune, new_state


def test_frozen_parameters_do_not_move() -> None:
    spec = small_spec(adapter={"kind": "freeze", "freeze": ["blocks.0.*", "patch_embedding.*"]})
    model = load_model(spec)
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    state = fine_tune(model, memory_batches(spec), spec)
    moved = {name for name, p in model.module.named_parameters() if not torch.equal(p, before[name])}
    assert moved and moved <= set(state.parameters)
    assert not any(name.startswith(("blocks.0.", "patch_embedding.")) for name in state.parameters)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({"kind": "freeze", "freeze": ["temporal"]}, "'temporal' matches no parameter of wan"),
        ({"kind": "freeze"}, "adapter.freeze is empty"),
        ({"kind": "freeze", "freeze": ["*"]}, "nothing is left to train"),
        ({"kind": "lora", "targets": ["to_nowhere"]}, "'to_nowhere' matches no layer .* to_q"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_before_anything_starts(adapter: dict, message: str) -> None:
    spec = small_spec(adapter=adapter)
    with pytest.raises(ModelError, match=message) as caught:
        prepare_parameters(load_model(spec), spec.adapter, 0)
    assert caught.value.exit_code == 2


def test_lora_trains_its_factors_alone_and_begins_at_the_base() -> None:
    spec = small_spec(adapter={"kind": "lora", "rank": 2, "alpha": 8})
    plain, adapted = load_model(spec), load_model(spec)
    state = new_state(adapted, spec)
    assert state.parameters and all("lora_" in name for name in state.parameters)
    frames = torch.from_numpy(next(memory_batches(spec)).frames)
    latents = plain.encode(frames)
    inputs = (latents, latents.flip(0), torch.full((8,), 0.5), plain.conditions(frames, [""] * 8, 8.0))
    assert torch.equal(plain.predict(*inputs), adapted.predict(*inputs))
    fine_tune(adapted, memory_batches(spec), spec, state=state)
    assert not torch.equal(plain.predict(*inputs), adapted.predict(*inputs))
    with lora.disabled(adapted.module):
        assert torch.equal(plain.predict(*inputs), adapted.predict(*inputs))


def test_a_lora_checkpoint_is_the_base_and_its_factors(tmp_path: Path) -> None:
    spec = small_spec(adapter={"kind": "lora", "rank": 2, "alpha": 8})
    model = load_model(spec)
    fine_tune(model, memory_batches(spec), spec)
    model.save(tmp_path)
    base = load_model(spec)
    from diffusers import WanTransformer3DModel

    saved = WanTransformer3DModel.from_pretrained(tmp_path, subfolder="transformer")
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), base.module.parameters(), strict=True))
    frames = torch.from_numpy(next(memory_batches(spec)).frames)
    latents = model.encode(frames)
    inputs = (latents, latents.flip(0), torch.full((8,), 0.5), model.conditions(frames, [""] * 8, 8.0))
    merged = load_checkpoint(tmp_path)
    assert not lora.injected(merged.module)
    torch.testing.assert_close(merged.predict(*inputs), model.predict(*inputs), rtol=1e-4, atol=1e-5)
    # and by diffusers' own reader
    saved.load_lora_adapter(tmp_path, prefix="transformer", weight_name=lora.FILE)
    merged.module = saved
    torch.testing.assert_close(merged.predict(*inputs), model.predict(*inputs), rtol=1e-5, atol=1e-6)


def test_factors_of_another_model_are_refused(tmp_path: Path) -> None:
    spec = small_spec(adapter={"kind": "lora", "rank": 2})
    model = load_model(spec)
    new_state(model, spec)
    model.save(tmp_path)
    other = small_spec(model={"config": {**small_spec().model.config, "num_layers": 1}})
    with pytest.raises(ModelError, match="does not fit"):
        lora.merge_saved(load_model(other).module, tmp_path, "transformer")
