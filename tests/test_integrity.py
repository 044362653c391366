"""What was written is what is read, on a directory and on an object store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.s3 import S3Server

from drivereplay.integrity import (
    MANIFEST,
    damaged_file,
    has_all_files,
    manifest_of,
    read_sealed,
    set_aside,
    write_sealed,
)
from drivereplay.storage import Storage


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return Storage.of(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_server")
    return Storage.of(server.uri(f"{tmp_path.name}/store"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200), cut=st.integers(0, 300), bit=st.integers(0, 10_000), kind=st.sampled_from("cbz"))
def test_no_damage_to_a_sealed_file_passes(tmp_path: Path, data: bytes, cut: int, bit: int, kind: str) -> None:
    storage = Storage.of(tmp_path)
    write_sealed(storage, "file", data)
    assert read_sealed(storage, "file") == data
    whole = bytearray(storage.read("file"))
    if kind == "c":
        damaged = whole[: cut % len(whole)]
    elif kind == "z":
        damaged = bytearray(len(whole))
    else:
        damaged = whole
        damaged[bit // 8 % len(whole)] ^= 1 << bit % 8
    storage.write("file", bytes(damaged))
    assert read_sealed(storage, "file") is None
    assert not storage.exists("file") and storage.read("file.damaged") == bytes(damaged)


def test_what_was_never_sealed_is_not_taken(storage: Storage) -> None:
    assert read_sealed(storage, "nothing") is None
    storage.write("foreign", b"PK and so on")
    assert read_sealed(storage, "foreign") is None


def written(storage: Storage, directory: Path) -> Storage:
    (directory / "part").mkdir(parents=True)
    (directory / "part" / "weights").write_bytes(bytes(range(256)) * 50)
    (directory / "empty").touch()
    manifest = manifest_of(directory)
    storage.upload(directory, "whole")
    storage.write(f"whole/{MANIFEST}", manifest)
    return storage.below("whole")


def test_a_directory_is_compared_with_its_manifest(storage: Storage, tmp_path: Path) -> None:
    whole = written(storage, tmp_path / "made")
    assert has_all_files(whole) and damaged_file(whole) is None
    data = bytearray(whole.read("part/weights"))
    data[77] ^= 4
    whole.write("part/weights", bytes(data))
    assert has_all_files(whole), "the sizes are right"
    assert damaged_file(whole) == "part/weights"
    whole.delete("part/weights")
    assert not has_all_files(whole) and damaged_file(whole) == "part/weights"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"files": 3}', b'{"files": {"a": null}}', b"\x00" * 9])
def test_a_manifest_that_is_none_is_damage(storage: Storage, tmp_path: Path, content: bytes) -> None:
    whole = written(storage, tmp_path / "made")
    whole.write(MANIFEST, content)
    assert not has_all_files(whole) and damaged_file(whole) == MANIFEST


def test_what_is_set_aside_keeps_its_files_and_takes_the_place_of_an_earlier_one(
    storage: Storage, tmp_path: Path
) -> None:
    written(storage, tmp_path / "made")
    storage.write("whole.damaged/older", b"x")
    assert set_aside(storage, "whole") == "whole.damaged"
    assert not storage.exists("whole") and not storage.exists("whole.damaged/older")
    aside = storage.below("whole.damaged")
    assert damaged_file(aside) is None and json.loads(aside.read(MANIFEST))["files"]["empty"]["bytes"] == 0
