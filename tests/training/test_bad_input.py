"""What a training cannot be given is refused on the command line: exit 2, one message with the fix, nothing started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.footage import moving_square
from tests.training.helpers import small_spec

from drivereplay import cli, session
from drivereplay.domains.mp4 import write_video
from drivereplay.models import load_model

Damage = Callable[[Path], Any]
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


def wan(directory: Path) -> None:
    load_model(small_spec()).save(directory)


def another_family(directory: Path) -> None:
    clip = {"frames": 5, "context": 1, "height": 32, "width": 32}
    load_model(small_spec(clip=clip, model={"family": "ltx", "config": {}})).save(directory)


def without_a_tensor(directory: Path) -> None:
    wan(directory)
    tensors = load_file(directory / WEIGHTS)
    save_file({k: t for k, t in tensors.items() if k != "proj_out.bias"}, directory / WEIGHTS, {"format": "pt"})


def with_a_wrong_shape(directory: Path) -> None:
    wan(directory)
    tensors = load_file(directory / WEIGHTS)
    save_file({**tensors, "proj_out.bias": torch.zeros(7)}, directory / WEIGHTS, {"format": "pt"})


def pickled(directory: Path) -> None:
    wan(directory)
    (directory / WEIGHTS).rename((directory / WEIGHTS).with_suffix(".bin"))


def no_layout(directory: Path) -> None:
    directory.mkdir()
    (directory / "weights.safetensors").write_bytes(b"")


BASES: dict[str, tuple[Damage, str, str]] = {
    "another family": (another_family, "holds a LTXConditionPipeline", "Set model.family to ltx."),
    "a missing tensor": (without_a_tensor, "proj_out.bias", "Weights must fit config.json."),
    "a wrong shape": (with_a_wrong_shape, "proj_out.bias", "Weights must fit config.json."),
    "pickled weights": (pickled, "can run code when they are opened", "safe_serialization=True"),
    "no layout": (no_layout, "not in diffusers' layout", "`save_pretrained` wrote"),
}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `drivereplay train` on a small experiment with values set, and returns what it said."""
    for clip in range(2):
        write_video(tmp_path / "driving" / f"{clip}.mp4", moving_square(clip, 24, 32, 32), 8.0)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(session, "ensure_ray", forbidden)
    target = {"name": "driving", "source": {"kind": "videos", "path": str(tmp_path / "driving")}}

    def run(sets: dict[str, str], **sections: Any) -> str:
        spec = small_spec(
            storage=str(tmp_path / "runs"), target=target, replay={"frequency": 0.0, "domains": []}, **sections
        )
        (tmp_path / "small.yaml").write_text(spec.to_yaml())
        options = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        monkeypatch.setattr(sys, "argv", ["drivereplay", "train", str(tmp_path / "small.yaml"), *options])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        _, mark, said = capsys.readouterr().err.rpartition("error: ")  # what reads a model may have drawn a bar before
        assert caught.value.code == 2 and mark, said
        assert "Traceback" not in said and len(said.splitlines()) == 2, said
        assert not any(path.is_file() for path in (tmp_path / "runs").rglob("*"))
        return said

    return run


@pytest.mark.parametrize("damage", BASES)
def test_bases_that_do_not_fit(refused: Any, tmp_path: Path, damage: str) -> None:
    make, what, fix = BASES[damage]
    make(tmp_path / "base")
    said = refused({"model.base": str(tmp_path / "base"), "model.config": "{}"})
    assert what in said and fix in said.splitlines()[1]


@pytest.mark.parametrize(
    ("sets", "what", "fix"),
    [
        ({"clip.height": "18"}, "18 × 16 must be multiples of 8", "nearest size"),
        ({"adapter.kind": "lora", "adapter.targets": "[to_nothing]"}, "'to_nothing' matches no layer", "to_q"),
        ({"adapter.kind": "freeze", "adapter.freeze": "[temporal]"}, "'temporal' matches no", "early, late, attention"),
        ({"training.retention.ewc": "1.0"}, "replay.domains is empty", "at least one replay domain"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(refused: Any, sets: dict[str, str], what: str, fix: str) -> None:
    said = refused(sets)
    assert what in said and fix in said.splitlines()[1]


def test_half_precision_that_the_gpu_lacks(refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ensure_ray", lambda *_, **__: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    said = refused({"training.precision": "bf16"})
    assert "bf16, which this GPU does not support" in said and "Set it to fp32." in said


def test_shards_need_workers(refused: Any) -> None:
    assert "fsdp needs training.workers above 1" in refused({"training.strategy": "fsdp"})
