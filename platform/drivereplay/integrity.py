"""Whatever is read back is compared with what was written; damaged files are set aside, named, and made again.

Directories have a manifest with each file's size and hash, written last; single files carry their hash at the end.
The hash is XXH3 with 128 bits: it finds what disks, networks and killed writers do, and is no protection against an
adversary. It runs at the speed of memory, so checking costs little beside reading.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import xxhash

from drivereplay.storage import Storage, patiently

MANIFEST = "manifest.json"
DAMAGED = ".damaged"
"""Ends the name of what was set aside."""
_CHUNK = 1 << 24
_SEAL = b"\ndrivereplay-xxh3-128 "
_SEALED = len(_SEAL) + 32

logger = logging.getLogger(__name__)


def manifest_of(directory: Path) -> bytes:
    """The manifest of all files below a local directory, but for a manifest that is there already."""
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name != MANIFEST:
            files[name] = {"bytes": path.stat().st_size, "xxh3_128": _hash_of(Storage.of(path.parent), path.name)}
    return json.dumps({"files": files}, indent=2).encode() + b"\n"


def has_all_files(directory: Storage) -> bool:
    """Whether the manifest is there and every file in it has its size; contents are not read."""
    files = _manifest(directory)
    return files is not None and _first_of_wrong_size(directory, files) is None


def damaged_file(directory: Storage) -> str | None:
    """The first file whose content is not what the manifest says, or None: all is as it was written.

    A file without a hash, as in manifests before version 0.2, is compared by size alone.

    Raises:
        OSError: A file cannot be read.
    """
    files = _manifest(directory)
    if files is None:
        return MANIFEST
    wrong = _first_of_wrong_size(directory, files)
    if wrong is not None:
        return wrong
    hashed = ((name, entry["xxh3_128"]) for name, entry in files.items() if entry.get("xxh3_128"))
    return next((name for name, expected in hashed if _hash_of(directory, name) != expected), None)


def set_aside(storage: Storage, relative: str) -> str:
    """Rename a damaged file or directory to `<name>.damaged`: it is used no more, and can still be looked at.

    What an earlier damage left under that name is replaced.

    Returns:
        Its new name, relative to the storage.
    """
    target = relative + DAMAGED
    storage.delete(target)
    for source, place in _files_below(storage, relative, target):
        patiently(lambda a=source, b=place: _move(storage, a, b))  # type: ignore[misc]
    storage.delete(relative)
    logger.warning("%s/%s is damaged and was set aside as %s.", storage.uri, relative, target)
    return target


def write_sealed(storage: Storage, relative: str, data: bytes) -> None:
    """Write a file with its hash at the end, for `read_sealed`."""
    storage.write(relative, data + _SEAL + xxhash.xxh3_128_hexdigest(data).encode())


def read_sealed(storage: Storage, relative: str) -> bytes | None:
    """What `write_sealed` wrote; None where there is nothing, or something damaged, which is set aside."""
    try:
        whole = storage.read(relative)
    except FileNotFoundError:
        return None
    data, seal = whole[:-_SEALED], whole[-_SEALED:]
    if seal == _SEAL + xxhash.xxh3_128_hexdigest(data).encode():
        return data
    set_aside(storage, relative)
    return None


def _manifest(directory: Storage) -> dict[str, dict[str, Any]] | None:
    try:
        files = json.loads(directory.read(MANIFEST))["files"]
        return {
            str(name): {"bytes": entry} if isinstance(entry, int) else {**entry, "bytes": int(entry["bytes"])}
            for name, entry in files.items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _first_of_wrong_size(directory: Storage, files: dict[str, dict[str, Any]]) -> str | None:
    infos = patiently(lambda: directory.filesystem.get_file_info([directory.path(name) for name in files]))
    return next(
        (
            name
            for name, info in zip(files, infos, strict=True)
            if info.type != pafs.FileType.File or info.size != files[name]["bytes"]
        ),
        None,
    )


def _hash_of(directory: Storage, name: str) -> str:
    def whole() -> str:
        digest = xxhash.xxh3_128()
        with directory.filesystem.open_input_stream(directory.path(name)) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return str(digest.hexdigest())

    return patiently(whole)


def _files_below(storage: Storage, relative: str, target: str) -> Iterable[tuple[str, str]]:
    """Full paths of what has to be moved, and where to; a local directory moves as one."""
    path, place = storage.path(relative), storage.path(target)
    info = storage.filesystem.get_file_info(path)
    if info.type != pafs.FileType.Directory or storage.local is not None:
        return [(path, place)] if info.type != pafs.FileType.NotFound else []
    found = storage.filesystem.get_file_info(pafs.FileSelector(path, recursive=True))
    return [(f.path, place + f.path[len(path) :]) for f in found if f.type == pafs.FileType.File]


def _move(storage: Storage, source: str, target: str) -> None:
    storage.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
    storage.filesystem.move(source, target)
