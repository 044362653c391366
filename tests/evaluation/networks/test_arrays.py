from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from drivereplay.errors import DataError
from drivereplay.evaluation.networks.arrays import read_pickled_arrays


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_arrays_come_out_flat() -> None:
    tree = {"a": {"b": np.arange(4, dtype=np.float32).reshape(2, 2)}, "c": np.ones(1, np.float32)}
    for protocol in (3, 4):
        flat = read_pickled_arrays(pickle.dumps(tree, protocol=protocol))
        assert set(flat) == {"a/b", "c"} and flat["a/b"].tolist() == [[0, 1], [2, 3]]


def test_nothing_in_the_file_is_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which is no array"):
        read_pickled_arrays(pickle.dumps({"a": _Harmful(tmp_path / "touched")}))
    assert not (tmp_path / "touched").exists()
    with pytest.raises(DataError, match="which is no array"):
        read_pickled_arrays(pickle.dumps({"a": "text"}))
    with pytest.raises(DataError, match="cannot be read"):
        read_pickled_arrays(b"\x80\x04rubbish")
