"""The promises of SECURITY.md that can be kept true by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivereplay.errors import SpecError
from drivereplay.spec import parse_spec

_READERS = {("pickle", "load"), ("pickle", "loads"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load")}


def _sources(root: Path) -> list[Path]:
    return [path for folder in ("platform", "dashboards", "cluster") for path in (root / folder).rglob("*.py")]


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            yield node


def test_nothing_is_unpickled_and_yaml_is_read_safely(project_root: Path) -> None:
    wrong = []
    for path in _sources(project_root):
        for call in _calls(path):
            assert isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
            name = (call.func.value.id, call.func.attr)
            safely = any(
                keyword.arg == "weights_only"
                and isinstance(keyword.value, ast.Constant)
                and keyword.value.value is True
                for keyword in call.keywords
            )
            numpy_pickle = name[1] == "load" and any(
                keyword.arg == "allow_pickle" and getattr(keyword.value, "value", False) for keyword in call.keywords
            )
            if name in _READERS or (name == ("torch", "load") and not safely) or numpy_pickle:
                wrong.append(f"{path.relative_to(project_root)}:{call.lineno} {'.'.join(name)}")
    assert not wrong


def test_nothing_listens_beyond_this_machine_unless_told(project_root: Path) -> None:
    wrong = [
        f"{path.relative_to(project_root)}:{node.lineno}"
        for path in _sources(project_root)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in ("0.0.0.0", "::")
    ]
    assert not wrong


@pytest.mark.parametrize("name", ["../other", "a/b", "..", ".hidden", "", "a\\b", "x\0y"])
def test_a_name_cannot_lead_out_of_the_storage(name: str) -> None:
    target = {"name": "driving", "source": {"kind": "world", "world": "highway"}}
    with pytest.raises(SpecError, match="name"):
        parse_spec({"name": name, "target": target})
    with pytest.raises(SpecError, match="name"):
        parse_spec({"name": "run", "target": {**target, "name": name}})
