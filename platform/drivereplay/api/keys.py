"""What an experiment file may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivereplay.spec import Spec


def describe_keys() -> list[dict[str, str]]:
    """Every key of the experiment file: `key`, `default`, `meaning`."""
    schema = Spec.model_json_schema()
    rows: list[dict[str, str]] = []

    def walk(section: Mapping[str, Any], prefix: str, seen: tuple[str, ...]) -> None:
        for key, field in section.get("properties", {}).items():
            name = f"{prefix}{key}"
            default = field.get("default", "required" if key in section.get("required", ()) else "")
            nested = [r for r in _references(field) if r not in seen]
            shown = "" if isinstance(default, dict) and nested else str(default)
            rows.append({"key": name, "default": shown, "meaning": str(field.get("description", ""))})
            between = ".N." if "items" in field else ".NAME." if "patternProperties" in field else "."
            for reference in nested:
                walk(schema["$defs"][reference], f"{name}{between}", (*seen, reference))

    walk(schema, "", ())
    return rows


def _references(field: Any) -> list[str]:
    if isinstance(field, dict):
        own = [field["$ref"].rsplit("/", 1)[-1]] if "$ref" in field else []
        below = [
            r for key, value in field.items() if key not in {"discriminator", "default"} for r in _references(value)
        ]
        return own + below
    if isinstance(field, list):
        return [r for item in field for r in _references(item)]
    return []
