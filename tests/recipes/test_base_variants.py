"""The comparison of the recipe's variants at equal CPU time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


def entry(step: int, cpu_s: float, loss: float) -> dict[str, object]:
    return {"step": step, "cpu_s": cpu_s, "held_out": dict.fromkeys(("1", "0.94", "0.8", "0.5"), loss)}


def test_losses_are_compared_at_one_cpu_time(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    lines = [entry(100, 60, 0.9), entry(200, 120, 0.7), entry(300, 180, 0.1), entry(250, 150, 0.6)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log = script("variants").read_log(tmp_path / "log.jsonl")
    # the report at step 300 belongs to steps that were lost with the state after it
    assert [line["step"] for line in log] == [100, 200, 250]
    rows = script("variants").table({"a": log, "short": log[:1]}, [1.5, 3.0]).splitlines()
    assert len(rows) == 3
    assert rows[2].split(" | ")[1:4] == ["1.5", "150", "0.800"]


def test_every_variant_is_a_recipe(script: Callable[[str], ModuleType]) -> None:
    import yaml

    module = script("variants")
    variants = yaml.safe_load((module.HERE / "variants.yaml").read_text())
    for name, variant in variants.items():
        call = module.command(name, variant, Path("out"), Path("latents"), 5)
        script("recipe").load_recipe([word for flag, word in itertools.pairwise(call) if flag == "--set"])
        assert variant.get("start", "adamw") in variants
        assert float(call[call.index("--hours") + 1]) == pytest.approx(1 / 12)
