"""Strict YAML: version 1.2's scalars, no key twice, nothing that grows beyond bounds when it is expanded.

PyYAML reads YAML 1.1, where `yes` is true, `0123` is 83 and `1:30` is 90, and it keeps the last of two equal keys. The
rules here are those of the core schema of YAML 1.2.2 (section 10.3.2), with merge keys (`<<`) as the one addition.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel
from pydantic_core import to_json

_DEEPEST = 64
"""Levels of nesting; the experiment file has about eight."""
_DEEP = f"it is nested more than {_DEEPEST} levels deep"
_MOST_NODES = 100_000
"""Values after aliases and merges are expanded. A "billion laughs" file reaches it at once, no real file does."""

_SCALARS = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)
"""Tag, pattern and first characters of each scalar that is not text; `int` is asked before `float`."""

Model = TypeVar("Model", bound=BaseModel)


class StrictYamlError(ValueError):
    """The text is no strict YAML; the message names the line."""


def load_yaml(text: str | bytes) -> Any:
    """The one document in `text`; None where it is empty.

    Raises:
        StrictYamlError: It is not YAML, a key occurs twice or is no text, it is nested too deeply, refers to itself,
            or comes to too many values when its aliases and merges are expanded.
    """
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except (yaml.YAMLError, ValueError) as error:
        raise StrictYamlError(" ".join(str(error).split())) from error


def dump_yaml(data: Any) -> str:
    """Plain data as YAML that `load_yaml`, and any reader of YAML 1.1, reads as the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def validated(model: type[Model], data: Any) -> Model:
    """Parsed YAML as a section: a whole number may stand where any number may; nothing else is converted.

    Without this `true` would be the number 1, `"50"` the number 50, and the text `yes` true. Pydantic's strict mode
    takes lists for tuples only from JSON, so the data goes through it.

    Raises:
        pydantic.ValidationError: A value is wrong.
    """
    return model.model_validate_json(to_json(data, fallback=_plain), strict=True)


def _plain(value: Any) -> Any:
    """A numpy scalar, as samplers give, as Python's own."""
    return value.item()


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors = {  # type: ignore[misc]
        tag: yaml.SafeLoader.yaml_constructors[tag]
        for tag in (*(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "str", "seq", "map")), None)
    }

    def __init__(self, stream: str | bytes) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > _DEEPEST:
            _refuse(_DEEP, self.peek_event())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _check(node, {})
        return node


def _check(node: Any, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and levels from a node downwards with every alias written out; refuses what is not strict.

    Args:
        node: A node of PyYAML's graph.
        known: What was found for the nodes seen so far; None for those that this one is part of.
    """
    if id(node) in known:
        result = known[id(node)]
        if result is None:
            _refuse("it refers to itself", node)
        return result
    known[id(node)] = None
    parts: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif not node.value.isascii() and any("\ud800" <= character <= "\udfff" for character in node.value):
        _refuse("half of a surrogate pair is no character", node)
    below = [_check(part, known) for part in parts]
    size, levels = 1 + sum(size for size, _ in below), 1 + max((levels for _, levels in below), default=0)
    if size > _MOST_NODES:
        _refuse(f"it comes to more than {_MOST_NODES} values when its aliases are expanded", node)
    if levels > _DEEPEST:
        _refuse(_DEEP, node)
    known[id(node)] = size, levels
    return size, levels


def _check_keys(node: yaml.MappingNode) -> None:
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            _refuse("a key is no text: put it in quotes", key)
        line = key.start_mark.line + 1
        if key.value in lines:
            raise StrictYamlError(f"the key '{key.value}' occurs twice, in line {lines[key.value]} and in line {line}")
        lines[key.value] = line


def _refuse(what: str, place: Any) -> NoReturn:
    mark = place.start_mark
    raise StrictYamlError(f"line {mark.line + 1}, column {mark.column + 1}: {what}")


class _Dumper(yaml.SafeDumper):
    # beside the patterns of YAML 1.1, so that text which either version takes for something else is quoted
    yaml_implicit_resolvers: dict[str, Any] = {
        first: list(patterns) for first, patterns in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML folds these line breaks of YAML 1.1 into spaces unless they are written as escapes
    style = '"' if any(line_break in text for line_break in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)

for _name, _pattern, _firsts in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), [c.strip("\0") for c in _firsts]
        )


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text[2:] if base != 10 else text, base)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
