"""What lies in the event files: the records' tags, and JSON that survives NaN and any string.

Every record is an ordinary summary whose plugin name is `pareto`, so that TensorBoard's own readers find and keep it:

| tag | class | content |
| --- | --- | --- |
| `pareto/candidate/NAME` | tensor, two strings | the candidate as JSON; its settings as text (YAML), may be empty |
| `pareto/setup` | tensor, one string | objectives, directions, units, reference point, protocol as JSON |
| `pareto/video/CANDIDATE/CLIP` | blob sequence | a description as JSON; the film strip, one PNG of all frames |

Names in the tags of videos are percent-encoded. Each candidate has a tag of its own: TensorBoard keeps only a sample of
a tag's steps, but never drops a tag.
"""

from __future__ import annotations

import json
import math
from typing import Any

PLUGIN_NAME = "pareto"
VERSION = 1
CANDIDATE = "pareto/candidate/"
SETUP = "pareto/setup"
VIDEO = "pareto/video/"

STATUSES = ("running", "finished", "stopped", "failed", "infeasible")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> bytes:
    """Strict JSON in UTF-8; numbers that JSON lacks become the strings NaN, Infinity and -Infinity."""
    # lone surrogates (from undecodable file names) are no valid UTF-8 and would break every reader
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def decode(data: bytes) -> dict[str, Any]:
    """The mapping of `encode`; special numbers stay strings, see `number`.

    Raises:
        ValueError: The bytes are not a JSON mapping of a known version.
    """
    value = json.loads(data.decode("utf-8", "replace"))
    if not isinstance(value, dict):
        raise ValueError(f"a record must be a mapping, not {type(value).__name__}")
    version = value.get("version")
    if version != VERSION:
        raise ValueError(f"a record of version {version!r}; this package reads version {VERSION}")
    return value


def plain(value: Any) -> Any:
    """The value with only what JSON knows: numpy scalars and arrays unpacked, other objects as their text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)


def number(value: Any) -> float:
    """A number from JSON; what is no number is NaN."""
    if isinstance(value, str):
        return _SPECIAL.get(value, math.nan)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    return float(value)


def _finite(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
