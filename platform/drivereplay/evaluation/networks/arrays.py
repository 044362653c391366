"""Reading arrays out of files that others wrote, without running anything that is in them."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DataError

_ALLOWED = frozenset(
    (module, name)
    for package in ("numpy.core", "numpy._core")
    for module, name in (
        (f"{package}.multiarray", "_reconstruct"),
        (f"{package}.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    )
)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, containers, numbers and texts, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(f"The file wants to run {module}.{name}, which is no array.", "Do not use it.")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_pickled_arrays(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Nested mappings of arrays, as flax checkpoints are pickled, flattened to `a/b/c` names.

    Raises:
        DataError: The pickle holds anything but mappings and arrays.
    """
    try:
        tree = _ArrayUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"The weights cannot be read: {error}.", "Install them again.") from error
    flat: dict[str, NDArray[np.float32]] = {}
    _flatten(tree, "", flat)
    return flat


def _flatten(tree: Any, prefix: str, flat: dict[str, NDArray[np.float32]]) -> None:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            _flatten(value, f"{prefix}/{key}" if prefix else str(key), flat)
    elif isinstance(tree, np.ndarray):
        flat[prefix] = np.ascontiguousarray(tree, dtype=np.float32)
    else:
        raise DataError(
            f"The weights hold a {type(tree).__name__} at '{prefix}', which is no array.", "Do not use them."
        )
