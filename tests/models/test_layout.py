"""diffusers' layout: damage is named, pickles are refused, parts are linked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.helpers import spec_of

from drivereplay.errors import ModelError
from drivereplay.models import layout, load_model


@pytest.fixture
def base(tmp_path: Path) -> Path:
    spec = spec_of("random", "wan", frames=8, context=2)
    load_model(spec).save(tmp_path / "base")
    return tmp_path / "base"


def damaged(base: Path, damage: str) -> None:
    weights = next((base / "transformer").glob("*.safetensors"))
    tensors = load_file(weights)
    name = "blocks.0.attn1.to_q.weight"
    if damage == "no index":
        (base / "model_index.json").unlink()
    elif damage == "index is no JSON":
        (base / "model_index.json").write_text("{")
    elif damage == "index without class":
        (base / "model_index.json").write_text("{}")
    elif damage == "no transformer":
        for path in (base / "transformer").iterdir():
            path.unlink()
        (base / "transformer").rmdir()
    elif damage == "pickled":
        weights.unlink()
        (base / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"anything")
    elif damage == "tensor missing":
        del tensors[name]
        save_file(tensors, weights)
    elif damage == "tensor of another shape":
        tensors[name] = tensors[name][:8].contiguous()
        save_file(tensors, weights)
    elif damage == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        raise AssertionError(damage)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no index", "not in diffusers' layout"),
        ("index is no JSON", "cannot be read"),
        ("index without class", "does not name a pipeline class"),
        ("no transformer", "has no transformer/"),
        ("pickled", r"pickled weights only \(diffusion_pytorch_model.bin\)"),
        ("tensor missing", r"1 missing keys \(such as blocks.0.attn1.to_q.weight\)"),
        ("tensor of another shape", r"(?i)(size|shape|mismatch)"),
        ("weights cut", "cannot be loaded"),
    ],
)
def test_damage_is_named_before_anything_starts(base: Path, damage: str, message: str) -> None:
    damaged(base, damage)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(spec_of(base, "wan", frames=8, context=2))
    assert caught.value.exit_code == 2 and caught.value.fix


def test_parts_are_linked_and_absent_ones_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "vae" / "deep").mkdir(parents=True)
    (source / "vae" / "deep" / "weights").write_bytes(b"1234")
    (source / "model_index.json").write_text(
        json.dumps({"_class_name": "P", "vae": ["diffusers", "AutoencoderKLWan"], "text": [None, None]})
    )
    origin = layout.Origin.of(source)
    assert origin.has("vae") and not origin.has("text") and not origin.has("unheard")
    origin.link("vae", tmp_path / "target")
    assert (tmp_path / "target" / "vae" / "deep" / "weights").samefile(source / "vae" / "deep" / "weights")
    with pytest.raises(ModelError, match="has gone since"):
        layout.Origin("P", tmp_path / "gone", {}).folder("vae")


def test_random_weights_leave_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with layout.seeded(0):
        torch.rand(5)
    assert torch.equal(torch.rand(2), expected)


def test_modules_without_weights_have_shapes_alone() -> None:
    with layout.without_weights():
        assert layout.built(torch.nn.Linear, {"in_features": 3, "out_features": 2}).weight.device.type == "meta"
    assert layout.built(torch.nn.Linear, {"in_features": 3, "out_features": 2}).weight.device.type == "cpu"
