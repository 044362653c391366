"""What weight decay acts on, which samples lose their condition, and weights that are not trained in half precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.helpers import frames_like, spec_of
from tests.training.helpers import memory_batches, small_spec

from drivereplay.models import load_model
from drivereplay.models.base import Conditions
from drivereplay.models.precision import computing
from drivereplay.spec import AdapterSpec
from drivereplay.training.adapters import prepare_parameters
from drivereplay.training.loop import Hooks, fine_tune, new_state
from drivereplay.training.objective import dropped_conditions

CLIPS = {"svd": {"frames": 2}, "ltx": {"width": 64}, "wan": {"frames": 8, "context": 2}}


@pytest.mark.parametrize("family", ["wan", "svd", "ltx", "cogvideox", "cosmos"])
def test_norms_and_biases_do_not_decay(family: str) -> None:
    """A step with a gradient of 0 only decays: what shrinks are matrices, and nothing of a norm does."""
    spec = spec_of("random", family, **CLIPS.get(family, {}))
    training = spec.training.model_copy(update={"learning_rate": 0.1, "weight_decay": 0.5})
    model = load_model(spec)
    before = {name: p.detach().clone() for name, p in model.module.named_parameters()}
    state = new_state(model, spec.model_copy(update={"training": training}))
    for parameter in state.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step()
    for name, parameter in state.parameters.items():
        plain = name.endswith("bias") or "norm" in name.rpartition(".")[0].rpartition(".")[2] or parameter.ndim < 2
        expected = before[name] if plain else before[name] * (1 - 0.1 * 0.5)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)
    decayed = [name for name, p in state.parameters.items() if not torch.equal(p, before[name])]
    assert 0 < len(decayed) < len(before)


@pytest.mark.parametrize("family", ["wan", "ltx", "cogvideox", "cosmos", "cosmos25"])
def test_layer_groups_of_joint_attention_part_the_blocks(family: str) -> None:
    spec = spec_of("random", family, **CLIPS.get(family, {}))
    frozen = {}
    for group in ("early", "late", "attention", "feed_forward"):
        model = load_model(spec)
        trained = prepare_parameters(model, AdapterSpec(kind="freeze", freeze=(group,)), 0)
        frozen[group] = {name for name, _ in model.module.named_parameters()} - set(trained)
        assert frozen[group]
    assert not frozen["early"] & frozen["late"] and not frozen["attention"] & frozen["feed_forward"]
    assert frozen["attention"] | frozen["feed_forward"] <= frozen["early"] | frozen["late"]
    count = len(model.module.get_submodule(model.blocks))
    assert {name.split(".")[1] for name in frozen["early"]} == {str(number) for number in range(count // 2)}


def test_dropped_samples_are_a_share_and_belong_to_their_numbers() -> None:
    numbers = np.arange(20_000)
    dropped = dropped_conditions(3, numbers, 0.2)
    assert dropped.mean() == pytest.approx(0.2, abs=0.01)
    assert np.array_equal(dropped[5:9], dropped_conditions(3, numbers[5:9], 0.2))
    assert not np.array_equal(dropped, dropped_conditions(4, numbers, 0.2))
    assert not dropped_conditions(3, numbers, 0.0).any() and dropped_conditions(3, numbers, 1.0).all()


@pytest.mark.parametrize("family", ["svd", "ltx", "cosmos"])
def test_a_sample_without_condition_is_one_without_its_condition(family: str) -> None:
    spec = spec_of("random", family, **CLIPS.get(family, {}))
    model = load_model(spec)
    frames = frames_like(spec, 2)
    latents = model.encode(frames)
    levels = model.noise_levels(torch.tensor([0.5, 0.5]), latents.shape[1:])
    full = model.conditions(frames, ["a road", "a road"], 8.0)
    without = model.without_condition(full, [False, True])
    with torch.no_grad():
        kept, both = (model.predict(latents, torch.ones_like(latents), levels, c) for c in (full, without))
    torch.testing.assert_close(both[0], kept[0])
    assert not torch.allclose(both[1], kept[1])


@pytest.mark.parametrize("family", ["svd", "ltx", "cogvideox", "cosmos"])
def test_guidance_moves_away_from_the_empty_condition(family: str) -> None:
    spec = spec_of("random", family, **CLIPS.get(family, {}))
    model = load_model(spec)
    context = frames_like(spec, 1)[:, :1]
    plain, same, more = (
        model.generate(context, spec.clip.frames, [1], 2, Conditions(["a road"], 8.0, guidance=guidance))
        for guidance in (1.0, 1.0, 4.0)
    )
    assert torch.equal(plain, same) and not torch.equal(plain, more)


def test_half_precision_is_close_and_leaves_no_trace() -> None:
    spec = spec_of("random", "ltx", width=64)
    model = load_model(spec)
    context = frames_like(spec, 1)[:, :1]

    def video() -> torch.Tensor:
        return model.generate(context, 9, [1], 3, Conditions(["a road"], 8.0)).int()

    before = video()
    with computing(model.module, "bf16"):
        half = video()
    assert torch.equal(video(), before)
    assert 0 < (half - before).abs().float().mean() < 4


def test_frozen_weights_are_kept_in_half_precision() -> None:
    spec = small_spec(
        adapter={"kind": "lora", "rank": 4}, training={"steps": 6, "batch_size": 8, "warmup": 2, "precision": "bf16"}
    )
    model = load_model(spec)
    losses = []

    class Kept(Hooks):
        def stepped(self, point, batch) -> None:
            losses.append(point.loss)

    state = fine_tune(model, memory_batches(spec), spec, hooks=Kept())
    frozen = [p for name, p in model.module.named_parameters() if name not in state.parameters]
    assert {p.dtype for p in frozen} == {torch.bfloat16}
    assert {p.dtype for p in state.parameters.values()} == {torch.float32}
    assert np.isfinite(losses).all()
    with state.judged() as judged, computing(judged.module, "fp32"):
        context = torch.zeros(1, spec.clip.context, 16, 16, 3, dtype=torch.uint8)
        assert judged.generate(context, 4, [1], 2, Conditions([""], 8.0)).shape == (1, 4, 16, 16, 3)
