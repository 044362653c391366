"""The one boundary through which a directory that somebody else wrote becomes objects.

Everything that opens a base, a checkpoint or a part of one goes through `boundary`, so that whatever a library raises
arrives as this project's error, with the library's own line, the file and the way out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drivereplay.errors import DriveReplayError, ModelError
from drivereplay.models.trust import refuse_pickles

_SAVE_ANEW = "Save the pipeline anew with diffusers' `save_pretrained`."


@contextlib.contextmanager
def boundary(place: Path, fix: str = _SAVE_ANEW, what: str = "cannot be loaded") -> Iterator[None]:
    """Turn any exception of a foreign loader into a `ModelError`; the project's own errors pass.

    Args:
        place: File or directory that is being read, named in the message.
        fix: What the user can do.
        what: Verb of the message.
    """
    try:
        yield
    except DriveReplayError:
        raise
    except Exception as error:
        # a list of every tensor may follow; the first lines name the culprit
        shown = " ".join(str(error).split())[:400] or "no message"
        raise ModelError(f"{place} {what}: {type(error).__name__}: {shown}", fix) from error


def load(cls: Any, folder: Path, **options: Any) -> Any:
    """`cls.from_pretrained(folder)` of diffusers or transformers; modules from safetensors only.

    Raises:
        ModelError: The folder is missing, pickled, quantised, of a variant only, or does not fit the class.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder.parent} has no {folder.name}/.", "Give a complete diffusers directory.")
    if hasattr(cls, "state_dict"):
        check_weights(folder)
        options = {"use_safetensors": True, **options}
    if cls.__module__.partition(".")[0] == "transformers":
        options["trust_remote_code"] = False
    with boundary(folder, "Weights must fit config.json." if hasattr(cls, "state_dict") else _SAVE_ANEW):
        return cls.from_pretrained(folder, **options)


def check_weights(folder: Path) -> None:
    """Refuse weights that cannot be trained from, or that are not there.

    Raises:
        ModelError: Names the file and how to convert it.
    """
    config = folder / "config.json"
    with boundary(config, what="cannot be read"):
        settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    quantised = settings.get("quantization_config") if isinstance(settings, dict) else None
    if quantised:
        method = quantised.get("quant_method", "a method it does not name") if isinstance(quantised, dict) else "?"
        raise ModelError(
            f"{config} says that the weights are quantised ({method}); they cannot be fine-tuned.",
            "Take the base from which they were quantised; training.precision: bf16 saves memory.",
        )
    names = sorted(path.name for path in folder.iterdir())
    safe = [name for name in names if name.endswith(".safetensors")]
    if not safe:
        refuse_pickles(folder.parent)
        raise ModelError(
            f"{folder} holds no *.safetensors.",
            "Give a complete diffusers directory. A hub id whose weights are half-precision variants only has to be"
            " converted first: from_pretrained(..., variant=...), then save_pretrained.",
        )
    # NAME.safetensors and NAME-00001-of-00002.safetensors, but not NAME.fp16.safetensors
    variants = {name.split(".")[1].split("-")[0] for name in safe if name.count(".") > 1}
    if variants and all(name.count(".") > 1 for name in safe):
        variant = sorted(variants)[0]
        raise ModelError(
            f"{folder / safe[0]} is the {variant} variant, and the plain weights are not there.",
            "Write them with diffusers:"
            f" DiffusionPipeline.from_pretrained({str(folder.parent)!r}, variant={variant!r}).save_pretrained(NEW).",
        )


def check_parts(directory: Path, index: dict[str, Any], skip: frozenset[str] = frozenset()) -> None:
    """Refuse a directory that lacks a part which its index names.

    Args:
        index: Its `model_index.json`.
        skip: Parts that are not read from the directory.

    Raises:
        ModelError: Names the part.
    """
    for name, entry in sorted(index.items()):
        if name.startswith("_") or not isinstance(entry, list) or not entry or entry[0] is None or name in skip:
            continue
        folder = directory / name
        if not folder.is_dir():
            raise ModelError(
                f"{directory / 'model_index.json'} names {name}, but there is no {name}/.",
                "Give a complete diffusers directory; a download that broke off is completed by fetching it again.",
            )
