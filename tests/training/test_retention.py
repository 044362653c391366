"""Each baseline against its formula, written out plainly."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.models import load_model
from drivereplay.training.fisher import estimate_fisher
from drivereplay.training.loop import fine_tune, new_state
from drivereplay.training.objective import fresh_numbers, sample_noise
from drivereplay.training.retention import interpolated, retentions


def spec_with(**retention):
    training = {"steps": 3, "batch_size": 8, "learning_rate": 1e-2, "warmup": 0, "clip_norm": None, "weight_decay": 0.0}
    return small_spec(training={**training, "retention": retention})


def run(spec, steps: int = 3):
    state = new_state(load_model(spec), spec)
    if state.fisher:
        estimate_fisher(state, memory_batches(spec, 0, 1), spec)
    return fine_tune(state.model, memory_batches(spec, 0, steps), spec, state=state)


def gradients_of_second_step(spec):
    """Gradients and weights at the second step, which is where θ differs from θ0."""
    state = run(spec, 1)
    seen: dict[str, torch.Tensor] = {}
    step = state.optimizer.step

    def spy(*args, **kwargs):
        seen.update({name: p.grad.clone() for name, p in state.parameters.items()})
        return step(*args, **kwargs)

    weights = {name: p.detach().clone() for name, p in state.parameters.items()}
    state.optimizer.step = spy
    fine_tune(state.model, memory_batches(spec, 1, 2), spec, state=state)
    return seen, weights, state


def test_l2sp_adds_lambda_times_the_distance() -> None:
    naive, weights, _ = gradients_of_second_step(spec_with())
    pulled, same, state = gradients_of_second_step(spec_with(l2sp=0.3))
    for name, gradient in naive.items():
        assert torch.equal(weights[name], same[name])  # the first step is at θ0, where the penalty is flat
        torch.testing.assert_close(pulled[name], gradient + 0.3 * (weights[name] - state.base[name]))


def test_ewc_weighs_the_distance_with_the_fisher_information_of_replay() -> None:
    spec = spec_with(ewc=50.0, ewc_samples=8)
    naive, weights, _ = gradients_of_second_step(spec_with())
    pulled, _, state = gradients_of_second_step(spec)
    assert any(f.max() > 0 for f in state.fisher.values())
    for name, gradient in naive.items():
        expected = gradient + 50.0 * state.fisher[name] * (weights[name] - state.base[name])
        torch.testing.assert_close(pulled[name], expected, rtol=1e-5, atol=1e-7)


def test_the_fisher_information_is_the_mean_of_squared_gradients_of_single_samples() -> None:
    spec = spec_with(ewc=1.0)
    model = load_model(spec)
    state = new_state(model, spec)
    batch = next(memory_batches(spec))
    estimate_fisher(state, [batch], spec)
    expected = {name: torch.zeros_like(p) for name, p in state.parameters.items()}
    frames = torch.from_numpy(batch.frames)
    noise, uniforms = sample_noise(spec.seed, fresh_numbers(batch.sample), model.encode(frames).shape[1:])
    losses = model.loss(
        model.encode(frames),
        noise,
        model.noise_levels(uniforms, noise.shape[1:]),
        model.conditions(frames, [""] * 8, 8.0),
    )
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(state.parameters.values()), retain_graph=True, allow_unused=True)
        for (name, total), gradient in zip(expected.items(), gradients, strict=True):
            if gradient is not None:
                expected[name] = total + gradient**2 / 8
    for name, value in expected.items():
        torch.testing.assert_close(state.fisher[name], value, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(("on", "rows"), [("target", [0, 1, 4, 5]), ("replay", [2, 3, 6, 7]), ("all", list(range(8)))])
def test_distillation_compares_with_the_base_on_the_same_noise(on: str, rows: list[int]) -> None:
    spec = spec_with(distill=0.7, distill_on=on)
    model = load_model(spec)
    base = copy.deepcopy(model)
    state = new_state(model, spec)
    with torch.no_grad():
        for parameter in state.parameters.values():
            parameter.add_(0.01)
    batch = next(memory_batches(spec))
    frames = torch.from_numpy(batch.frames)
    latents = model.encode(frames)
    noise, uniforms = sample_noise(0, batch.sample, latents.shape[1:])
    inputs = (latents, noise, model.noise_levels(uniforms, latents.shape[1:]), model.conditions(frames, [""] * 8, 8.0))
    predicted = model.predict(*inputs)
    terms = state.retention[0].sample_terms(predicted, *inputs, torch.from_numpy(batch.domain))
    expected = 0.7 * (predicted - base.predict(*inputs)).square().mean(dim=(1, 2, 3, 4))
    for row in range(8):
        assert terms[row].item() == pytest.approx(expected[row].item() if row in rows else 0.0, rel=1e-4)
    terms.sum().backward()
    assert all(p.grad is None for p in state.retention[0].teacher.module.parameters())


def test_the_teacher_of_a_lora_run_is_the_same_module_without_adapters() -> None:
    spec = spec_with(distill=1.0).model_copy(
        update={"adapter": small_spec(adapter={"kind": "lora", "rank": 2}).adapter}
    )
    model = load_model(spec)
    base = copy.deepcopy(model)
    state = run(spec)
    teacher = state.retention[0]
    assert teacher.teacher.module is state.model.module
    batch = next(memory_batches(spec))
    frames = torch.from_numpy(batch.frames)
    latents = base.encode(frames)
    inputs = (latents, latents.flip(0), torch.full((8,), 0.5), base.conditions(frames, [""] * 8, 8.0))
    predicted = state.model.predict(*inputs)
    terms = teacher.sample_terms(predicted, *inputs, torch.from_numpy(batch.domain))
    expected = (predicted - base.predict(*inputs)).square().mean(dim=(1, 2, 3, 4))
    assert expected.min() > 0
    torch.testing.assert_close(terms, expected, rtol=1e-4, atol=1e-7)


def test_the_reptile_pull_moves_towards_the_base_every_k_steps() -> None:
    spec = spec_with(reptile_every=2, reptile_epsilon=0.25)
    plain = run(spec_with(), 2)
    pulled = run(spec, 2)
    once = run(spec, 1)
    for name, parameter in plain.parameters.items():
        base = pulled.base[name]
        torch.testing.assert_close(pulled.parameters[name], base + 0.25 * (parameter - base))
    assert all(torch.equal(p, once.parameters[n]) for n, p in run(spec_with(), 1).parameters.items())


def test_wise_ft_is_a_point_between_base_and_model() -> None:
    state = run(spec_with(wise_ft=[0.25]))
    own = {name: p.detach().clone() for name, p in state.parameters.items()}
    with interpolated(state.parameters, state.base, 0.25):
        for name, parameter in state.parameters.items():
            torch.testing.assert_close(parameter.detach(), 0.75 * state.base[name] + 0.25 * own[name])
    assert all(torch.equal(p, own[name]) for name, p in state.parameters.items())


def test_baselines_compose_and_hold_the_model_near_its_base() -> None:
    def distance(**retention) -> float:
        state = run(spec_with(**retention))
        first = dict(load_model(small_spec()).module.named_parameters())
        return sum((p.detach() - first[name].detach()).square().sum().item() for name, p in state.parameters.items())

    naive = distance()
    both = spec_with(l2sp=1.0, ewc=10.0, distill=1.0, reptile_every=3)
    assert len(new_state(load_model(both), both).retention) == 4
    assert distance(l2sp=1.0, ewc=10.0, distill=1.0, reptile_every=3, reptile_epsilon=0.5) < 0.5 * naive
    nothing = spec_with()
    assert retentions(nothing.training.retention, load_model(nothing), {}, {}, {}) == []
