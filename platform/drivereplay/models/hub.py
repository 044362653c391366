"""Bases on the hub: only what `model_index.json` names is fetched, in full precision and unpickled."""

from __future__ import annotations

import json
from pathlib import Path

from drivereplay.models.foreign import boundary

_INDEX = "model_index.json"


def fetch(base: str, revision: str | None = None) -> Path:
    """The directory of a hub id on this machine, fetched where it is not here yet.

    Args:
        base: `owner/name`.
        revision: Branch, tag or commit; None is the default branch.

    Raises:
        ModelError: There is no such repository or revision, it holds no pipeline, or the network is away.
    """
    import huggingface_hub

    fix = "Check name, model.revision and network (HF_TOKEN for gated models), or give a local directory."
    with boundary(Path(f"model.base {base}"), fix, "is no directory, and fetching it as a hub id failed"):
        index = json.loads(Path(huggingface_hub.hf_hub_download(base, _INDEX, revision=revision)).read_text("utf-8"))
        return Path(
            huggingface_hub.snapshot_download(
                base, revision=revision, allow_patterns=patterns(index), ignore_patterns=list(_VARIANTS)
            )
        )


_KINDS = ("json", "txt", "model", "jinja", "safetensors")
_VARIANTS = ("*.*.safetensors", "*.fp16.json", "*.bf16.json")
"""Parts a second time in another precision, `NAME.fp16.safetensors`; split weights have no second dot."""


def patterns(index: dict[str, object]) -> list[str]:
    """What of a repository belongs to a base: its index and the folders that the index names.

    A repository often also holds the original checkpoints at its root, those of other versions beside them.
    """
    parts = sorted(name for name, entry in index.items() if isinstance(entry, list) and entry and entry[0] is not None)
    return [_INDEX, *(f"{part}/*.{kind}" for part in parts for kind in _KINDS)]
