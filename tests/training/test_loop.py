"""The loop: exact, resumable, the same on micro-batches, and stopped by a loss that is not finite."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.errors import TrainingError
from drivereplay.models import load_model
from drivereplay.training.curve import CurvePoint
from drivereplay.training.loop import Hooks, LoopState, fine_tune, learning_rate, new_state


class Recorder(Hooks):
    """Keeps the curve."""

    def __init__(self, checkpoint_steps: frozenset[int] = frozenset()) -> None:
        super().__init__(checkpoint_steps)
        self.points: list[CurvePoint] = []
        self.checkpoints: list[int] = []

    def stepped(self, point, batch) -> None:
        self.points.append(point)

    def checkpoint(self, state: LoopState) -> None:
        self.checkpoints.append(state.step)


def trained(spec, **options):
    recorder = Recorder()
    model = load_model(spec)
    state = fine_tune(model, memory_batches(spec), spec, hooks=recorder, **options)
    return state, recorder.points


def weights(state: LoopState) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in state.parameters.items()}


def test_the_same_seed_gives_the_same_bits() -> None:
    spec = small_spec()
    first, second = weights(trained(spec)[0]), weights(trained(spec)[0])
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = weights(trained(small_spec(seed=1))[0])
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_training_lowers_the_loss() -> None:
    spec = small_spec(training={"steps": 120, "batch_size": 8, "learning_rate": 3e-3, "warmup": 2})
    points = trained(spec)[1]
    assert np.mean([p.loss for p in points[-20:]]) < 0.8 * np.mean([p.loss for p in points[:20]])


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_micro_batches_change_nothing_but_the_order_of_sums(accumulate: int) -> None:
    whole, parts = (
        trained(small_spec())[1],
        trained(
            small_spec(
                training={"steps": 6, "batch_size": 8, "accumulate": accumulate, "learning_rate": 1e-3, "warmup": 2}
            )
        )[1],
    )
    assert [p.loss for p in parts] == pytest.approx([p.loss for p in whole], rel=1e-5)
    assert [p.gradient_norm for p in parts] == pytest.approx([p.gradient_norm for p in whole], rel=1e-4)


def test_the_curve_tells_domains_and_noise_levels_apart() -> None:
    points = trained(small_spec())[1]
    for point in points:
        assert set(point.domains) == {"driving", "street"}
        assert point.loss == pytest.approx(sum(point.domains.values()) / 2, rel=1e-6)  # half of each
    assert {level for p in points for level in p.levels} == set(range(5))
    assert [p.step for p in points] == list(range(6))


def test_a_replay_weight_of_zero_trains_on_the_target_alone() -> None:
    naive = small_spec(replay={"frequency": 0.0, "domains": []})
    half = small_spec(replay={**small_spec().replay.model_dump(mode="json"), "loss_weight": 0.0})
    plain = trained(half)[1]
    assert all(p.domains["street"] > 0 for p in plain)
    # samples of weight 0 leave no gradient: halving the batch of an all-target run by hand gives the same norm
    model = load_model(half)
    batch = next(memory_batches(half))
    keep = batch.domain == 0
    alone = dataclasses.replace(
        batch, **{k: getattr(batch, k)[keep] for k in ("sample", "slot", "domain", "clip", "frames", "replaced")}
    )
    recorder = Recorder()
    fine_tune(model, [alone], naive, hooks=recorder)
    assert recorder.points[0].gradient_norm == pytest.approx(plain[0].gradient_norm, rel=1e-5)


def test_checkpoints_are_due_where_they_were_asked_for() -> None:
    spec = small_spec()
    recorder = Recorder(frozenset({0, 2, 6}))
    fine_tune(load_model(spec), memory_batches(spec), spec, hooks=recorder)
    assert recorder.checkpoints == [0, 2, 6]


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_weights() -> None:
    spec = small_spec()
    model = load_model(spec)
    state = new_state(model, spec)
    fine_tune(model, memory_batches(spec, 0, 2), spec, state=state)
    before = weights(state)
    original = model.encode

    def poisoned(frames):
        latents = original(frames)
        latents[3] = math.nan
        return latents

    model.encode = poisoned
    with pytest.raises(TrainingError, match=r"Step 2: .* 1 samples of street: clip 4 of domain 1") as caught:
        fine_tune(model, memory_batches(spec, 2), spec, state=state)
    assert "learning_rate" in caught.value.fix
    assert all(torch.equal(before[name], value) for name, value in weights(state).items())


def test_batches_out_of_order_are_refused() -> None:
    spec = small_spec()
    with pytest.raises(TrainingError, match="Step 0 was due, but the data gave step 3"):
        fine_tune(load_model(spec), memory_batches(spec, 3), spec)


def test_the_average_follows_its_formula() -> None:
    spec = small_spec(training={"steps": 2, "batch_size": 8, "ema": 0.9, "learning_rate": 1e-2, "warmup": 0})
    model = load_model(spec)
    state = new_state(model, spec)
    expected = weights(state)
    for step in range(2):
        fine_tune(model, memory_batches(spec, step, step + 1), spec, state=state)
        expected = {n: 0.9 * expected[n] + 0.1 * p.detach() for n, p in state.parameters.items()}
    own = weights(state)
    with state.judged():
        for name, value in weights(state).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    assert all(torch.equal(own[name], value) for name, value in weights(state).items())


def test_bf16_autocast_keeps_fp32_weights_and_a_near_loss() -> None:
    exact = trained(small_spec())[1]
    state, rounded = trained(
        small_spec(training={"steps": 6, "batch_size": 8, "precision": "bf16", "learning_rate": 1e-3, "warmup": 2})
    )
    assert {p.dtype for p in state.parameters.values()} == {torch.float32}
    assert [p.loss for p in rounded] == pytest.approx([p.loss for p in exact], rel=2e-2)
    assert [p.loss for p in rounded] != [p.loss for p in exact]


def test_gradient_checkpointing_changes_no_number() -> None:
    plain = trained(small_spec())[0]
    saved = trained(
        small_spec(
            training={"steps": 6, "batch_size": 8, "gradient_checkpointing": True, "learning_rate": 1e-3, "warmup": 2}
        )
    )[0]
    for name, value in weights(plain).items():
        torch.testing.assert_close(weights(saved)[name], value, rtol=1e-5, atol=1e-7)


def test_learning_rates_of_each_schedule() -> None:
    def rates(schedule: str) -> list[float]:
        training = small_spec(
            training={"steps": 10, "batch_size": 8, "warmup": 2, "learning_rate": 1.0, "schedule": schedule}
        ).training
        return [learning_rate(training, step) for step in range(10)]

    assert rates("constant") == [0.5] + [1.0] * 9
    assert rates("linear")[:4] == pytest.approx([0.5, 1.0, 1.0, 0.875])
    cosine = rates("cosine")
    assert (
        cosine[2] == 1.0
        and cosine[6] == pytest.approx(0.5)
        and cosine == sorted(cosine[:2]) + sorted(cosine[2:], reverse=True)
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_is_not_enough_is_said_with_what_helps(error: Exception) -> None:
    spec = small_spec()
    model = load_model(spec)
    predict, calls = model.predict, []

    def full(*args):
        calls.append(1)
        if len(calls) > 2:
            raise error
        return predict(*args)

    model.predict = full
    with pytest.raises(TrainingError, match="Step 2 ran out of memory") as caught:
        fine_tune(model, memory_batches(spec), spec)
    assert "training.accumulate" in caught.value.fix and caught.value.__cause__ is error
    error_of_ours = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    model.predict = lambda *args: (_ for _ in ()).throw(error_of_ours)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        fine_tune(model, memory_batches(spec), spec)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_denoiser_has_the_same_curve() -> None:
    """torch.compile fuses and reorders sums: losses within 1e-4 relative."""
    values = {"steps": 4, "batch_size": 8, "learning_rate": 1e-3, "warmup": 2}
    plain = trained(small_spec(training=values))[1]
    compiled = trained(small_spec(training={**values, "compile": True}))[1]
    assert [p.loss for p in compiled] == pytest.approx([p.loss for p in plain], rel=1e-4)
    assert [p.gradient_norm for p in compiled] == pytest.approx([p.gradient_norm for p in plain], rel=1e-3)
