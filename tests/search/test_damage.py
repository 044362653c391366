"""Every file of a finished sweep, damaged in every way: read as it was, or one line names it; never a traceback."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.search.local import sweep_locally
from tests.search.problems import Analytic, experiment

from drivereplay import api
from drivereplay.errors import DriveReplayError
from drivereplay.status import status


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("damage")
    sweep_locally(experiment(storage, trials=2, every=15), runner=Analytic())
    return storage / "probe"


def resumed(run: Path) -> None:
    sweep_locally(experiment(run.parent, trials=2, every=15), runner=Analytic(), resume=True)


VERBS: dict[str, Callable[[Path], object]] = {"status": status, "front": api.front, "resume": resumed}
FILES = [
    "candidates.parquet", "environment.json", "front.json", "spec.yaml", "study.journal",
    "trials/t0000/candidates.json", "trials/t0000/request.json", "trials/t0000/spec.yaml",
]  # fmt: skip


def _foreign(file: str) -> bytes:
    if file.endswith(".parquet"):
        sink = io.BytesIO()
        pq.write_table(pa.table({"x": [1]}), sink)
        return sink.getvalue()
    kinds = {".json": b'{"a": [1, 2]}', ".yaml": b"name: other\n", ".journal": b'{"op_code": 77}\n'}
    return kinds[Path(file).suffix]


def _flipped(data: bytes, position: float) -> bytes:
    changed = bytearray(data)
    changed[int(position * (len(data) - 1))] ^= 8
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes, str], bytes]] = {
    "cut": lambda data, file: data[: len(data) // 2],
    "a bit early": lambda data, file: _flipped(data, 0.1),
    "a bit in the middle": lambda data, file: _flipped(data, 0.5),
    "a bit late": lambda data, file: _flipped(data, 0.9),
    "zeroed": lambda data, file: bytes(len(data)),
    "empty": lambda data, file: b"",
    "foreign": lambda data, file: _foreign(file),
    "null": lambda data, file: b"null",
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("file", FILES)
def test_one_line_names_the_file_or_nothing_is_lost(finished: Path, tmp_path: Path, file: str, verb: str) -> None:
    for damage, change in DAMAGES.items():
        run = tmp_path / damage / "probe"
        shutil.copytree(finished, run)
        (run / file).write_bytes(change((finished / file).read_bytes(), file))
        try:
            VERBS[verb](run)
        except DriveReplayError as error:
            assert Path(file).name in str(error), f"{damage}: {error}"
