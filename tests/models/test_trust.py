"""Crafted model directories: none may run code, whatever the loaders beneath would allow."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.models.helpers import spec_of

from drivereplay.errors import ModelError
from drivereplay.models import families, load_checkpoint, load_model, trust

SHIPPED = Path(trust.__file__).parent / "shipped" / "tiny"
Edit = Callable[[Path, dict[str, Any]], None]


class Payload:
    """Unpickling it makes the file `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (self.path,))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Exists if code of a checkpoint has run."""
    return tmp_path / "code-has-run"


@pytest.fixture
def module(mark: Path) -> str:
    """Source of a Python module that a checkpoint brings."""
    return f"""
import pathlib
pathlib.Path({str(mark)!r}).touch()
class Evil:
    @classmethod
    def from_pretrained(cls, *args, **options): return cls()
    @classmethod
    def from_config(cls, *args, **options): return cls()
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    target = tmp_path / "wan"
    shutil.copytree(SHIPPED, target)
    return target


def rewrite(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**content, **values}), encoding="utf-8")


def refused(base: Path, mark: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_checkpoint(base)
    assert not mark.exists()


@pytest.mark.parametrize(
    "named",
    [
        ["evil", "Evil"],
        ["os", "system"],
        ["diffusers", "DiffusionPipeline"],
        ["diffusers", "StableVideoDiffusionPipeline"],
        ["diffusers", "AutoModel"],
        ["diffusers.pipelines", "DiffusionPipeline"],
        ["transformers", "AutoTokenizer"],
        ["transformers", "pipeline"],
        ["transformers", "Trainer"],
        ["diffusers"],
        ["diffusers", "UniPCMultistepScheduler", "more"],
        [["diffusers"], "UniPCMultistepScheduler"],
        "scheduler",
    ],
)
def test_a_part_of_a_class_that_is_no_part(base: Path, mark: Path, module: str, named: Any) -> None:
    (base / "scheduler" / "evil.py").write_text(module, encoding="utf-8")
    rewrite(base / "scheduler" / "config.json", auto_map={"AutoModel": "evil.Evil"}, _class_name="Evil")
    rewrite(base / "model_index.json", scheduler=named)
    refused(base, mark, r"scheduler|auto_map")


@pytest.mark.parametrize("name", [["evil", "Evil"], ["diffusers", "WanPipeline"], None, 3])
def test_a_pipeline_that_is_no_name(base: Path, mark: Path, module: str, name: Any) -> None:
    (base / "evil.py").write_text(module, encoding="utf-8")
    rewrite(base / "model_index.json", _class_name=name)
    refused(base, mark, "_class_name")


@pytest.mark.parametrize("link", [False, True])
def test_a_pipeline_within_a_part(base: Path, mark: Path, module: str, link: bool, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere" if link else base / "scheduler" / "deeper"
    folder.mkdir()
    (folder / "evil.py").write_text(module, encoding="utf-8")
    rewrite(folder / "model_index.json", _class_name="StableVideoDiffusionPipeline", scheduler=["evil", "Evil"])
    if link:
        (base / "scheduler" / "deeper").symlink_to(folder)
        (base / "scheduler" / "circle").symlink_to(base)
    refused(base, mark, r"model_index\.json: a part of a pipeline is no pipeline")


@pytest.mark.parametrize(
    "file", ["scheduler/scheduler_config.json", "vae/config.json", "tokenizer/tokenizer_config.json"]
)
def test_a_configuration_that_points_to_code(base: Path, mark: Path, module: str, file: str) -> None:
    (base / file).parent.mkdir(exist_ok=True)
    (base / file).parent.joinpath("evil.py").write_text(module, encoding="utf-8")
    rewrite(base / file, auto_map={"AutoTokenizer": ["evil.Evil", None], "AutoModel": "evil.Evil"})
    refused(base, mark, "auto_map")


@pytest.mark.parametrize("folder", ["transformer", "scheduler", "scheduler/vae", "text_encoder/deeper"])
@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "pytorch_model.pt", "model.pkl"])
def test_pickled_weights_at_any_depth(base: Path, mark: Path, folder: str, name: str) -> None:
    shutil.rmtree(base / folder, ignore_errors=True)
    (base / folder).mkdir(parents=True)
    (base / folder / name).write_bytes(pickle.dumps(Payload(mark)))
    refused(base, mark, "pickled weights only")


def test_pickled_weights_beside_safe_ones_are_not_opened(base: Path, mark: Path) -> None:
    (base / "transformer" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Payload(mark)))
    load_checkpoint(base)
    assert not mark.exists()


@pytest.mark.parametrize("family", families())
def test_what_every_family_saves_is_allowed(family: str, tmp_path: Path) -> None:
    load_model(spec_of("random", family, width=64)).save(tmp_path / family)
    index = json.loads((tmp_path / family / "model_index.json").read_text(encoding="utf-8"))
    trust.check_directory(tmp_path / family, index)


@pytest.mark.parametrize(
    ("library", "name"),
    [
        # parts that released pipelines of the families name, with the classes of older releases of transformers
        ("diffusers", "AutoencoderKLTemporalDecoder"),
        ("diffusers", "CogVideoXDPMScheduler"),
        ("diffusers", "FlowMatchEulerDiscreteScheduler"),
        ("transformers", "UMT5EncoderModel"),
        ("transformers", "T5TokenizerFast"),
        ("transformers", "CLIPImageProcessor"),
        ("transformers", "CLIPVisionModelWithProjection"),
        ("transformers", "Qwen2_5_VLForConditionalGeneration"),
        ("cosmos_guardrail", "CosmosSafetyChecker"),
    ],
)
def test_parts_of_released_pipelines_are_allowed(tmp_path: Path, library: str, name: str) -> None:
    trust.check_directory(tmp_path, {"_class_name": "P", "part": [library, name], "absent": [None, None], "flag": True})
