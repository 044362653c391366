"""What every family owes: the door, and that nothing outside its file knows its name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tests.models.helpers import spec_of

from drivereplay.errors import ModelError
from drivereplay.models import families, load_checkpoint, load_model, shipped
from drivereplay.models.base import Conditions, VideoModel


def test_conditions_are_cut_together() -> None:
    whole = Conditions(["a", "b", "c"], 8.0, {"image": torch.arange(3.0)})
    part = whole.part(1, 3)
    assert part.prompts == ["b", "c"] and part.given["image"].tolist() == [1.0, 2.0] and part.fps == 8.0
    assert whole.rows([2, 0]).given["image"].tolist() == [2.0, 0.0]


def test_families_are_found_by_being_there() -> None:
    found = families()
    assert {"wan", "svd", "ltx", "cogvideox", "cosmos", "cosmos25"} <= set(found)
    for name, cls in found.items():
        assert issubclass(cls, VideoModel) and cls.family == name and cls.pipelines and cls.lora_targets


def test_a_family_is_one_file(project_root: Path) -> None:
    """No other module names it, apart from the spec's documentation of the choice."""
    package = project_root / "platform" / "drivereplay"
    for name in ("svd", "ltx", "cogvideox", "cosmos"):
        # a later version of a family may build on it
        own = {package / "models" / f"{name}.py", package / "models" / f"{name}25.py"}
        named = {
            path.relative_to(package).as_posix()
            for path in package.rglob("*.py")
            if path not in own and re.search(rf"['\"]{name}['\"]|models\.{name}\b", path.read_text(encoding="utf-8"))
        }
        assert not named, named


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "pixar"}, "no family 'pixar'.*cogvideox, cosmos, cosmos25, ltx, .*svd, wan"),
        ({"base": "nowhere-to-be-found"}, "no shipped base and no directory 'nowhere-to-be-found'"),
        ({"base": "tiny", "config": {"num_layers": 1}}, "only goes with `base: random`"),
    ],
)
def test_a_wrong_choice_is_told_with_what_there_is(changes: dict, message: str) -> None:
    spec = spec_of("random", "wan")
    with pytest.raises(ModelError, match=message) as caught:
        load_model(spec.model_copy(update={"model": spec.model.model_copy(update=changes)}))
    assert caught.value.exit_code == 2


def test_a_base_of_another_family_is_recognised(tmp_path: Path) -> None:
    load_model(spec_of("random", "ltx", width=64)).save(tmp_path)
    with pytest.raises(ModelError, match=r"model.family is svd, but .* holds a LTXConditionPipeline") as caught:
        load_model(spec_of(tmp_path, "svd"))
    assert caught.value.fix == "Set model.family to ltx."


def test_a_directory_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no checkpoint"):
        load_checkpoint(tmp_path / "missing")
    with pytest.raises(ModelError, match=r"drivereplay\.json is missing or damaged"):
        load_checkpoint(tmp_path)


def test_shipped_bases_are_listed() -> None:
    assert all(
        (Path(__file__).parents[2] / "platform/drivereplay/models/shipped" / name).is_dir() for name in shipped()
    )
