"""FSDP2 on two real processes with gloo between them: DDP's curve, whole checkpoints, resumes across strategies."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pydantic
import pytest
import torch
from tests.training.helpers import MemoryIndex, memory_batches, small_spec

from drivereplay.errors import SpecError
from drivereplay.models import load_checkpoint, load_model
from drivereplay.spec import Spec, parse_spec
from drivereplay.storage import Storage
from drivereplay.training.checkpoint import checkpoints
from drivereplay.training.curve import read_curve
from drivereplay.training.foresee import _state_bytes
from drivereplay.training.group import Group
from drivereplay.training.ledger import read_ledger
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin
from drivereplay.training.shard import blocks, full, placed, without_weights

WORKER = """
import sys, torch, torch.distributed as dist
from torch.distributed.tensor import DTensor
from drivereplay.models import load_model
from drivereplay.spec import parse_spec
from drivereplay.storage import Storage
from drivereplay.training.group import worker_group
from drivereplay.training.loop import fine_tune
from drivereplay.training.progress import Progress
from drivereplay.training.run import RunHooks, begin
from tests.training.helpers import MemoryIndex, memory_batches
import json

rank, file, runs = int(sys.argv[1]), sys.argv[2], json.load(open(sys.argv[3]))
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
for values, path, stop in runs:
    spec, directory = parse_spec(values), Storage.of(path)
    group = worker_group(spec)
    state, extra = begin(load_model(spec), spec, directory, group)
    if spec.training.strategy == "fsdp":
        parts = [p for p in state.parameters.values() if isinstance(p, DTensor)]
        assert len(parts) == len(state.parameters)
        held = sum(p.to_local().numel() for p in parts)
        assert held < 0.6 * sum(p.numel() for p in parts), held  # this rank's half, and a little
    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress(spec.name, spec.training.steps, every=1, show=False)
    hooks = RunHooks(spec, directory, indexes, group, state, extra, progress, lambda *_: False)
    batches = memory_batches(spec, state.step, stop, rank=rank, world_size=2)
    fine_tune(state.model, batches, spec, state=state, hooks=hooks, group=group)
    if stop is None:
        hooks.interpolations(state)
        hooks.end()
dist.destroy_process_group()
"""

SIZES = {
    "svd": {"frames": 2, "context": 1, "height": 16, "width": 16},
    "ltx": {"frames": 5, "context": 1, "height": 32, "width": 32},
}
FULL = {"steps": 4, "batch_size": 8, "accumulate": 2, "learning_rate": 1e-3, "warmup": 2, "checkpoint_every": 2}
KEPT = {"l2sp": 0.1, "reptile_every": 3, "wise_ft": [0.5]}


def experiment(strategy: str, **training: object) -> Spec:
    workers = {"workers": 1} if strategy == "alone" else {"workers": 2, "strategy": strategy}
    return small_spec(training={**FULL, **workers, "ema": 0.9, "retention": KEPT, **training})


def together(tmp_path: Path, root: Path, *runs: tuple[Spec, Path, int | None]) -> None:
    """Two processes do the runs one after the other."""
    import json

    plan = tmp_path / "runs.json"
    plan.write_text(json.dumps([(spec.model_dump(mode="json"), str(path), stop) for spec, path, stop in runs]))
    command = [sys.executable, "-c", WORKER]
    arguments = [str(tmp_path / "rendezvous"), str(plan)]
    workers = [subprocess.Popen([*command, str(rank), *arguments], cwd=root) for rank in (0, 1)]
    assert [worker.wait(timeout=600) for worker in workers] == [0, 0]


def alone(spec: Spec, path: Path) -> None:
    directory = Storage.of(path)
    state, extra = begin(load_model(spec), spec, directory)
    indexes = [MemoryIndex(d.name) for d in spec.domains]
    progress = Progress(spec.name, spec.training.steps, every=1, show=False)
    hooks = RunHooks(spec, directory, indexes, Group(), state, extra, progress, lambda *_: False)
    fine_tune(state.model, memory_batches(spec, state.step), spec, state=state, hooks=hooks)
    hooks.interpolations(state)
    hooks.end()


def curve(path: Path) -> torch.Tensor:
    return torch.tensor([[p.loss, p.gradient_norm, *p.domains.values()] for p in read_curve(Storage.of(path))])


def weights(path: Path, name: str) -> dict[str, torch.Tensor]:
    return load_checkpoint(path / "checkpoints" / name).module.state_dict()


def apart(one: Path, other: Path, name: str, spec: Spec) -> float:
    """Distance of two checkpoints' weights, as a share of the way from the base."""
    here, there, base = weights(one, name), weights(other, name), load_model(spec).module.state_dict()
    assert list(here) == list(there) == list(base)
    between = sum(float((here[key] - there[key]).square().sum()) for key in base)
    way = sum(float((there[key] - base[key]).square().sum()) for key in base)
    assert way > 0
    return (between / way) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_shards_train_as_whole_models_do(tmp_path: Path, project_root: Path) -> None:
    """Losses and gradient norms agree to 1e-5 with one process alone; a run that was stopped ends in the same bits.

    With accumulation, moving average, L2-SP, Reptile's pull, WiSE-FT; also gone on with alone. AdamW makes whole steps
    of what rounding leaves of a gradient of 0, so weights are held against DDP's: about as far from one process's.
    """
    spec = experiment("fsdp")
    whole, broken, later = tmp_path / "whole", tmp_path / "broken", tmp_path / "later"
    recomputed = tmp_path / "recomputed"
    together(
        tmp_path, project_root,
        (spec, whole, None), (spec, broken, 2), (spec, later, 2), (spec, broken, None),
        (experiment("fsdp", gradient_checkpointing=True), recomputed, None),
        (experiment("ddp"), tmp_path / "ddp", None),
    )  # fmt: skip
    alone(experiment("alone"), tmp_path / "alone")
    alone(experiment("alone"), later)
    expected = curve(tmp_path / "alone")
    for path in (whole, broken, later, recomputed):
        torch.testing.assert_close(curve(path), expected, rtol=1e-5, atol=0)
        assert [c.step for c in checkpoints(Storage.of(path))] == [2, 4]
        assert (
            read_ledger(Storage.of(path))
            .drop(["rank"])
            .equals(read_ledger(Storage.of(tmp_path / "alone")).drop(["rank"]))
        )
        for name in ("step-00000004", "step-00000004-wise-ft-0.50"):
            usual = apart(tmp_path / "ddp", tmp_path / "alone", name, spec)
            assert usual < 0.05
            assert apart(path, tmp_path / "alone", name, spec) < 3 * usual
    for key, tensor in weights(broken, "step-00000004").items():
        assert torch.equal(tensor, weights(whole, "step-00000004")[key])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_adapters_are_dealt_out_too(tmp_path: Path, project_root: Path) -> None:
    """LoRA: frozen and trained parameters side by side, saved as without."""

    def with_lora(strategy: str) -> Spec:
        values = experiment(strategy, retention={}, ema=None).model_dump(mode="json")
        return parse_spec({**values, "adapter": {"kind": "lora", "rank": 4}})

    together(tmp_path, project_root, (with_lora("fsdp"), tmp_path / "fsdp", None))
    alone(with_lora("alone"), tmp_path / "alone")
    torch.testing.assert_close(curve(tmp_path / "fsdp"), curve(tmp_path / "alone"), rtol=1e-5, atol=0)
    files = [
        sorted(p.name for p in (tmp_path / kind / "checkpoints/step-00000004").iterdir()) for kind in ("fsdp", "alone")
    ]
    assert files[0] == files[1] and "pytorch_lora_weights.safetensors" in files[0]
    assert apart(tmp_path / "fsdp", tmp_path / "alone", "step-00000004", with_lora("alone")) < 0.05


def test_a_skeleton_has_the_structure_and_no_weights() -> None:
    module = load_model(small_spec()).module
    skeleton = without_weights(module)
    assert {p.device.type for p in skeleton.parameters()} == {"meta"}
    assert {n: p.shape for n, p in skeleton.named_parameters()} == {n: p.shape for n, p in module.named_parameters()}
    assert all(p.device.type == "cpu" for p in module.parameters())
    assert [type(block).__name__ for block in blocks(module)] == ["WanTransformerBlock"] * 2
    for family, kind in (("svd", "BasicTransformerBlock"), ("ltx", "LTXVideoTransformerBlock")):
        whole = load_model(small_spec(model={"family": family, "config": {}}, clip=SIZES[family])).module
        parts = blocks(whole)
        inside = [id(p) for part in parts for p in part.parameters()]
        assert len(inside) == len(set(inside)) > len(list(whole.parameters())) / 2
        assert any(type(m).__name__ == kind for part in parts for m in part.modules())
    lists = torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)]))
    assert len(blocks(lists)) == 2
    tensor = torch.ones(2)
    assert full(tensor) is tensor and placed(tensor, torch.zeros(2)) is tensor


@pytest.mark.parametrize(
    ("training", "needs"),
    [
        ({"workers": 1}, "workers above 1"),
        ({"workers": [1, 2]}, "workers above 1"),
        ({"compile": True}, "compile: false"),
        ({"retention": {"ewc": 1.0}}, "no retention.ewc"),
        ({"retention": {"distill": 1.0}}, "no retention.distill"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(training: dict, needs: str) -> None:
    with pytest.raises((SpecError, pydantic.ValidationError), match=needs):
        small_spec(training={**FULL, "workers": 2, "strategy": "fsdp", **training})


def test_what_a_worker_holds_is_foreseen() -> None:
    whole, part = (
        _state_bytes(small_spec(training={**FULL, "workers": 2, "strategy": s}), 100, 80) for s in ("ddp", "fsdp")
    )
    assert whole == 4 * (100 + 3 * 80) and part == whole / 2
