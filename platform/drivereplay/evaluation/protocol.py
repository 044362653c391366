"""The protocol: everything that fixes what a figure means. Figures of different protocols are never compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from drivereplay.errors import ProtocolError

VERSION = 2
"""Raised when figures change their meaning without a change of any setting."""


@dataclass(frozen=True)
class Protocol:
    """Nested plain values (numbers, texts, lists, mappings), compared by content.

    Attributes:
        fields: `version`, `clips` (their number and the digest of their frames), `frames`, `context`, `fps`, `height`,
            `width`, `resize`, `samples`, `seed`, `denoising_steps`, `split` and `metrics` (settings and weights of
            each).
    """

    fields: Mapping[str, Any]

    @cached_property
    def hash(self) -> str:
        """16 hex digits of the SHA-256 of the fields as canonical JSON."""
        text = json.dumps(self.fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """Dotted field → (here, there) for every field that is not the same; None where one side has no such field."""
        here, there = _flat(self.fields), _flat(other.fields)
        keys = sorted(here.keys() | there.keys())
        return {key: (here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)}

    def require_same(self, other: Protocol) -> None:
        """Refuse to compare figures of two protocols.

        Raises:
            ProtocolError: They differ; the message names the fields.
        """
        different = self.differences(other)
        if different:
            shown = "; ".join(f"{key}: {a!r} against {b!r}" for key, (a, b) in different.items())
            raise ProtocolError(
                f"The protocols {self.hash} and {other.hash} differ in {shown}.",
                "Evaluate both again with the same settings; figures of different protocols mean different things.",
            )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and (value or not prefix):
        flat: dict[str, Any] = {}
        for key, inner in value.items():
            # a metric's name holds a dot itself, which reads well enough
            flat.update(_flat(inner, f"{prefix}.{key}" if prefix else str(key)))
        return flat
    return {prefix: list(value) if isinstance(value, tuple) else value}
