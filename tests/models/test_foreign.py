"""Directories that other programs wrote: each trouble is one line that names the file and the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.models.helpers import spec_of, wan_pipeline

from drivereplay.errors import DataError, ModelError
from drivereplay.models import foreign, load_model, lora


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    wan_pipeline().save_pretrained(directory)
    return directory


@pytest.fixture
def own(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "own"))


def test_any_exception_of_a_loader_becomes_ours() -> None:
    class Surprise(BaseException):
        pass

    line = "somewhere cannot be loaded: ZeroDivisionError: division by zero"
    with pytest.raises(ModelError, match=line) as caught, foreign.boundary(Path("somewhere")):
        1 / 0  # noqa: B018
    assert isinstance(caught.value.__cause__, ZeroDivisionError) and caught.value.fix and caught.value.exit_code == 2
    with pytest.raises(DataError), foreign.boundary(Path("x")):
        raise DataError("ours passes.", "As it is.")
    with pytest.raises(Surprise), foreign.boundary(Path("x")):
        raise Surprise  # such as KeyboardInterrupt


def test_quantised_weights_are_refused(own: Path) -> None:
    config = own / "transformer" / "config.json"
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(ModelError, match=r"transformer/config\.json .* quantised \(bitsandbytes\)"):
        load_model(spec_of(own, "wan"))


def test_half_precision_variants_name_the_conversion(own: Path) -> None:
    weights = own / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.fp16\.safetensors is the fp16 variant") as caught:
        load_model(spec_of(own, "wan"))
    assert "variant='fp16'" in caught.value.fix


@pytest.mark.parametrize("part", ["vae", "scheduler"])
def test_a_missing_part_is_named(own: Path, part: str) -> None:
    shutil.rmtree(own / part)
    with pytest.raises(ModelError, match=f"no {part}/"):
        load_model(spec_of(own, "wan"))


def test_a_stock_family_names_its_missing_part(tmp_path: Path) -> None:
    load_model(spec_of("random", "svd", frames=2)).save(tmp_path)
    shutil.rmtree(tmp_path / "image_encoder")
    with pytest.raises(ModelError, match="names image_encoder, but there is no image_encoder/"):
        load_model(spec_of(tmp_path, "svd", frames=2))


@pytest.mark.parametrize("content", ["{", "[1]", '{"_class_name": 3, "num_layers": "many"}'])
def test_a_damaged_configuration_is_one_line(own: Path, content: str) -> None:
    (own / "transformer" / "config.json").write_text(content)
    with pytest.raises(ModelError) as caught:
        load_model(spec_of(own, "wan"))
    assert "transformer" in str(caught.value) and "\n" not in str(caught.value) and caught.value.fix


@pytest.mark.parametrize(
    "settings",
    [
        {"use_rslora": True},
        {"alpha_pattern": {"attn1.to_q": 16}},
        {"rank_pattern": {"attn2.to_k": 6}},
        {"use_dora": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_adapters_beside_a_base_keep_their_scale(base: Path, own: Path, settings: dict) -> None:
    """What diffusers and peft make of them when they are loaded there is what the merged weights are."""
    from diffusers import WanTransformer3DModel
    from peft import LoraConfig

    reference = WanTransformer3DModel.from_pretrained(base / "transformer")
    targets = ["attn1.to_q", "attn2.to_k"]
    reference.add_adapter(LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False, **settings))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=generator)
    reference.save_lora_adapter(own, weight_name=lora.FILE)
    with_prefix = {f"transformer.{k}": v for k, v in load_file(own / lora.FILE).items()}
    config = {f"transformer.{k}": v for k, v in json.loads(_metadata(own)).items()}
    save_file(with_prefix, own / lora.FILE, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(config)})
    reference.fuse_lora()
    reference.unload_lora()
    found = load_model(spec_of(own, "wan")).module.state_dict()
    plain = load_model(spec_of(base, "wan")).module.state_dict()
    for name, tensor in reference.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)
    changed = [n for n, t in found.items() if not torch.equal(t, plain[n])]
    assert len(changed) == 4


def _metadata(directory: Path) -> str:
    from safetensors import safe_open

    with safe_open(directory / lora.FILE, framework="pt") as file:
        return str(file.metadata()["lora_adapter_metadata"])


def test_adapters_that_do_not_say_their_scale_are_refused(own: Path) -> None:
    save_file({"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.zeros(2, 24)}, own / lora.FILE)
    with pytest.raises(ModelError, match=r"pytorch_lora_weights\.safetensors does not say the rank and alpha"):
        load_model(spec_of(own, "wan"))
