"""What a run would cost, counted without weights: held against the real thing where it is small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.helpers import memory_batches, small_spec

from drivereplay.models import load_model
from drivereplay.training.foresee import foresee


def test_parameters_and_kept_tensors_are_those_of_the_real_model() -> None:
    spec = small_spec()
    report = foresee(spec)
    model = load_model(spec)
    assert report["parameters"] == sum(p.numel() for p in model.module.parameters()) == report["trained parameters"]
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        base = tensor if tensor._base is None else tensor._base
        if not isinstance(base, torch.nn.Parameter):
            kept[id(base)] = base
        return tensor

    frames = torch.from_numpy(next(memory_batches(spec)).frames)
    latents = model.encode(frames)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model.loss(latents, latents, torch.full((8,), 0.5), model.conditions(frames, [""] * 8, 8.0))
    real = sum(t.untyped_storage().nbytes() for t in kept.values()) / 2**30
    assert report["activations (GiB a worker)"] == pytest.approx(real, abs=2e-3)


def test_checkpointing_adapters_and_workers_change_what_they_should() -> None:
    big = {"num_layers": 6, "num_attention_heads": 8, "attention_head_dim": 32, "ffn_dim": 1024}
    base = {"model": {"config": big}, "clip": {"frames": 8, "context": 1, "height": 64, "width": 96}}
    plain = foresee(small_spec(**base))
    saved = foresee(small_spec(**base, training={"steps": 6, "batch_size": 8, "gradient_checkpointing": True}))
    factors = foresee(small_spec(**base, adapter={"kind": "lora", "rank": 4}))
    halves = foresee(small_spec(**base, training={"steps": 6, "batch_size": 8, "workers": 2}))
    assert saved["activations (GiB a worker)"] < 0.5 * plain["activations (GiB a worker)"]
    assert factors["trained parameters"] < 0.1 * plain["trained parameters"]
    assert factors["weights and optimiser (GiB a worker)"] < 0.5 * plain["weights and optimiser (GiB a worker)"]
    assert halves["activations (GiB a worker)"] == pytest.approx(plain["activations (GiB a worker)"] / 2, rel=0.1)
    assert halves["arithmetic (TFLOP a step)"] == pytest.approx(plain["arithmetic (TFLOP a step)"], rel=0.01)


def test_a_hub_id_is_not_fetched_for_an_estimate() -> None:
    report = foresee(small_spec(model={"base": "somebody/some-model", "config": {}}))
    assert report["parameters"] == "known once the base has been fetched"
    assert report["steps"] == 6 and report["replay samples"] == 24


@pytest.mark.parametrize(
    "name", ["wan", "ltx", "cosmos", *(pytest.param(n, marks=pytest.mark.slow) for n in ("svd", "cogvideox"))]
)
def test_the_full_scale_experiments_can_be_foreseen(name: str, project_root: Path) -> None:
    from drivereplay.spec import load_spec

    report = foresee(load_spec(project_root / "experiments" / f"{name}-full.yaml"))
    assert report["parameters"] > 1e9 and report["memory (GiB a worker)"] > 1
